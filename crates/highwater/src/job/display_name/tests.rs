use super::*;

/// Joins words by NULs, as the kernel does.
fn named(command: &[&str]) -> Option<String> {
    let mut text = command.join("\0").into_bytes();
    text.push(0);
    display_name(&text, true)
}

fn check(expected: &[(&[&str], &str)]) {
    for (command, name) in expected {
        assert_eq!(named(command).as_deref(), Some(*name), "{command:?}");
    }
}

#[test]
fn compilers_linkers_and_python() {
    check(&[
        (
            &["/usr/lib/rustlib/bin/rustc", "--crate-name", "regex_syntax", "--edition=2021", "src/lib.rs"][..],
            "rustc regex_syntax",
        ),
        (
            &["rustc", "--crate-name", "serde_derive", "--crate-type", "proc-macro", "x.rs"],
            "rustc serde_derive (proc macro)",
        ),
        (&["rustc", "--crate-name", "hwm", "--test", "x.rs"], "rustc hwm (test)"),
        (
            &["rustc", "--crate-name", "build_script_build", "/r/registry/src/i-1/libc-0.2.170/build.rs"],
            "rustc libc (build script)",
        ),
        (
            &["rustc", "--crate-name", "build_script_build", "/r/src/proc-macro2-1.0.9/build.rs"],
            "rustc proc-macro2 (build script)",
        ),
        (&["rustc", "--crate-name", "build_script_main", "crates/hwm/build.rs"], "rustc hwm (build script)"),
        (&["rustc", "-", "--crate-name", "___", "--print=file-names"], "rustc (query)"),
        (&["clippy-driver", "/usr/bin/rustc", "--crate-name", "hwm"], "clippy-driver hwm"),
        (&["sccache", "rustc", "--crate-name", "serde"], "sccache rustc serde"),
        (
            &[
                "/usr/lib/gcc/x86_64-linux-gnu/12/cc1plus",
                "-quiet",
                "-I",
                "a.c",
                "-D",
                "X",
                "src/foo.cc",
                "-o",
                "/tmp/x.s",
            ],
            "cc1plus foo.cc",
        ),
        (&["g++-12", "-O2", "-MF", "foo.d", "-c", "src/foo.cc", "-o", "foo.o"], "g++-12 foo.cc"),
        (&["aarch64-linux-gnu-gcc-12", "-c", "a.c"], "aarch64-linux-gnu-gcc-12 a.c"),
        (&["cc", "-m64", "/tmp/a.o", "-o", "target/debug/hwm"], "cc -> hwm"),
        (&["/usr/bin/ld", "-plugin", "x.so", "-o", "/b/libx.so", "a.o"], "ld -> libx.so"),
        (&["rust-lld", "-flavor", "gnu", "-o", "/b/hwm"], "rust-lld -> hwm"),
        (&["/usr/bin/python3", "-u", "train.py", "--api-key", "SECRET"], "python3 train.py"),
        (&["python3.11", "-X", "faulthandler", "-W", "error", "/srv/a/b.py"], "python3.11 b.py"),
        (&["python3", "-m", "pytest", "-x"], "python3 -m pytest"),
        (&["python", "-um", "http.server"], "python -m http.server"),
        (&["python3", "-c", "password='x'"], "python3 -c"),
        (
            &["python3", "-c", "from multiprocessing.spawn import spawn_main; spawn_main(3)"],
            "python3 (spawned worker)",
        ),
        (
            &["python3", "-c", "from multiprocessing.resource_tracker import main;main(7)"],
            "python3 (resource tracker)",
        ),
    ]);
}

#[test]
fn interpreters_shells_and_tools() {
    check(&[
        (&["ruby", "-I", "lib", "/srv/app.rb"][..], "ruby app.rb"),
        (&["perl", "-e", "print 'x'"], "perl -e"),
        (
            &["node", "--max-old-space-size=4096", "-r", "ts-node", "/srv/server.js", "--token=S"],
            "node server.js",
        ),
        (&["node", "-e", "secret"], "node -e"),
        (&["deno", "run", "-A", "main.ts"], "deno run main.ts"),
        (
            &[
                "java",
                "-Xmx1g",
                "-cp",
                "a.jar:b.jar",
                "org.gradle.launcher.daemon.bootstrap.GradleDaemon",
                "8.5",
            ],
            "java GradleDaemon",
        ),
        (&["java", "-Dpassword=S", "-jar", "/opt/app.jar", "x"], "java app.jar"),
        (&["java", "@more", "Main"], "java Main"),
        (&["java", "--module-path", "m", "-m", "com.x/com.x.Main"], "java Main"),
        (&["sh", "-c", "cd x && PASSWORD=s make -j8 2>&1 | tee log"], "sh -c make, tee"),
        (&["/bin/bash", "-ec", "if ./build.sh 'a; rm b'; then \"$X\" --token S; fi"], "bash -c build.sh"),
        (&["sh", "-c", "exec node server.js"], "sh -c node"),
        (&["sh", "-c", "\"$0\""], "sh -c"),
        (&["bash", "-e", "-o", "pipefail", "ci/run.sh", "arg"], "bash run.sh"),
        (&["make", "-j", "8", "-C", "sub", "CC=gcc", "all"], "make all"),
        (&["make", "-j", "-C", "sub"], "make (sub)"),
        (&["cargo", "+nightly", "-Z", "x", "build", "--release"], "cargo build"),
        (
            &["git", "-C", "/x", "-c", "http.extraheader=AUTHORIZATION: S", "fetch", "https://u:p@h/x"],
            "git fetch",
        ),
        (&["npm", "run", "build"], "npm run build"),
        (&["/usr/lib/go/pkg/tool/linux_amd64/compile", "-o", "x.a", "-p", "net/http"], "compile net/http"),
        (&["timeout", "-k", "5", "60", "python3", "train.py"], "timeout python3 train.py"),
        (&["env", "TOKEN=S", "make", "all"], "env make all"),
        (&["nice", "-n", "5", "./tool", "x"], "nice tool"),
        (&["postgres: checkpointer "], "postgres: checkpointer"),
        (&["postgres: main: walwriter "], "postgres: walwriter"),
        (&["postgres: alice secrets 10.0.0.1(4532) SELECT"], "postgres: client"),
        (&["nginx: worker process"], "nginx: worker process"),
        (&["[pytest-xdist running] tests/a.py::test_b"], "pytest worker"),
        (&["ray::train_fn()"], "ray::train_fn"),
    ]);
}

#[test]
fn what_may_be_secret_is_in_no_name() {
    for command in [
        &["kubectl", "--token", "hunter2", "get", "pods"][..],
        &["kubectl", "--token=hunter2", "get", "pods"],
        &["docker", "--unknown", "hunter2", "run"],
        &["git", "-c", "http.extraheader=hunter2", "fetch", "https://u:hunter2@h/x"],
        &["npm", "config", "set", "//r/:_authToken", "hunter2"],
        &["sh", "-c", "cat >f <<EOF\nhunter2\nEOF\nmake"],
        &["sh", "-c", "read x <<<hunter2; make"],
        &["bash", "-c", "echo hunter2 | docker login --password-stdin"],
        &["bash", "-c", "TOKEN=hunter2 ./run; \"hunter2\"; 'hunter2'; `hunter2`; #hunter2"],
        &["sh", "-c", "make # hunter2\n$hunter2; ${hunter2}; a=(hunter2); case hunter2 in x) ;; esac"],
        &["env", "TOKEN=hunter2", "python3", "-c", "hunter2"],
        &["timeout", "5", "mysql", "-phunter2"],
        &["make", "TOKEN=hunter2"],
        &["java", "-Dpassword=hunter2", "-jar", "a.jar", "hunter2"],
        &["python3", "a.py", "--password", "hunter2"],
        &["node", "server.js", "hunter2"],
        &["postgres: hunter2 hunter2 10.0.0.1(4532) hunter2"],
        &["mysqld: hunter2 of x"],
        &["sh", "-c", "PASSWORD=$(echo hunter2 | base64) ./run"],
        &["sh", "-c", "MESSAGE=\"a hunter2\" ./run"],
        &["sh", "-c", "MESSAGE=a\\ hunter2 ./run"],
        &["sh", "-c", "make # see; hunter2\n./run"],
        &["bash", "-c", "[[ $T == a || hunter2 == $T ]] && make"],
        &["sh", "-c", "exec -a hunter2 make"],
        &["java", "Main", "-m", "hunter2"],
        &["java", "-cp", "a.jar", "Main", "-jar", "hunter2"],
        &["python3", "a.py", "-m", "hunter2"],
    ] {
        let name = named(command);
        assert!(!name.as_deref().unwrap_or_default().contains("hunter2"), "{command:?}: {name:?}");
    }
}

#[test]
fn a_program_alone_names_it() {
    for command in [
        &["/usr/bin/true"][..],
        &["cat", "/etc/passwd"],
        &["python3"],
        &["bash"],
        &["-bash"],
        &["make", "-j8"],
        &["rustc", "-vV"],
        &["/opt/My Program/run"],
        &[""],
        &[],
    ] {
        assert_eq!(named(command), None, "{command:?}");
    }
}

#[test]
fn options_after_the_script_are_its_own() {
    check(&[
        (&["node", "server.js", "-p", "3000"][..], "node server.js"),
        (&["node", "--no-warnings", "-p", "1"], "node -e"),
        (&["ruby", "app.rb", "-e", "production"], "ruby app.rb"),
        (&["java", "Main", "-jar", "x.jar"], "java Main"),
        (&["java", "-ea", "-jar", "app.jar", "-m", "x"], "java app.jar"),
        (&["env", "-i", "make", "all"], "env make all"),
        (&["env", "-u", "HOME", "make", "all"], "env make all"),
        (&["setsid", "-c", "make", "all"], "setsid make all"),
        (&["taskset", "-c", "0,1", "make", "all"], "taskset make all"),
        (&["time", "-p", "make", "all"], "time make all"),
        (&["time", "-f", "%e", "make", "all"], "time make all"),
        (&["python3", "-Wignore::m", "a.py"], "python3 a.py"),
    ]);
}

#[test]
fn a_word_that_goes_on_is_no_part_of_a_name() {
    assert_eq!(display_name(b"python3\0tra", false), None);
    assert_eq!(display_name(b"python3\0train.py\0--x", false).as_deref(), Some("python3 train.py"));
    assert_eq!(display_name(b"python3\0tra", true).as_deref(), Some("python3 tra"));
}

#[test]
fn a_long_name_is_cut_and_control_characters_are_not_shown() {
    let name = named(&["python3", &"ä".repeat(100)]).unwrap();
    assert!(name.len() <= MAX_DISPLAY_NAME_BYTES && name.ends_with('…'), "{name}");
    assert_eq!(named(&["python3", "a\n\u{1b}[31m.py"]).as_deref(), Some("python3 a  [31m.py"));
}
