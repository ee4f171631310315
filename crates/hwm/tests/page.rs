//! The page of `hwm view --html` goes into hwm only if it was made from the sources that lie beside it.

#[path = "../build/sources.rs"]
mod sources;

use std::{fs, path::Path, time::SystemTime};

use sources::{PAGE_SOURCES, digest_in_page, sources_digest};

fn made_up_viewer(dir: &Path) {
    for name in PAGE_SOURCES {
        if name == "src" {
            fs::create_dir_all(dir.join("src/deep")).expect("made");
            fs::write(dir.join("src/main.ts"), "one").expect("written");
            fs::write(dir.join("src/deep/tree.ts"), "two").expect("written");
        } else {
            fs::write(dir.join(name), name).expect("written");
        }
    }
}

fn digest(dir: &Path) -> String {
    sources_digest(dir).expect("sources")
}

#[test]
fn the_hash_covers_names_and_contents() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path();
    made_up_viewer(dir);
    let first = digest(dir);
    assert_eq!((first.len(), digest(dir)), (64, first.clone()));

    fs::create_dir(dir.join("node_modules")).expect("made");
    fs::write(dir.join("node_modules/foreign.js"), "no source").expect("written");
    assert_eq!(digest(dir), first);

    for name in ["index.html", "package-lock.json", "src/main.ts", "src/deep/tree.ts"] {
        let file = dir.join(name);
        let before = fs::read(&file).expect("read");
        let time = fs::metadata(&file).expect("there").modified().expect("a time");
        fs::write(&file, "changed").expect("written");
        // The time of change stays: the content decides.
        fs::File::options().write(true).open(&file).expect("open").set_modified(time).expect("set");
        assert_ne!(digest(dir), first, "{name}");
        fs::write(&file, before).expect("written");
        fs::File::options()
            .write(true)
            .open(&file)
            .expect("open")
            .set_modified(SystemTime::now())
            .expect("set");
        assert_eq!(digest(dir), first, "{name}");
    }

    // The same bytes under other names, or cut elsewhere, are other sources.
    fs::rename(dir.join("src/main.ts"), dir.join("src/other.ts")).expect("renamed");
    assert_ne!(digest(dir), first);
    fs::rename(dir.join("src/other.ts"), dir.join("src/main.ts")).expect("renamed");
    fs::write(dir.join("src/more.ts"), "").expect("written");
    assert_ne!(digest(dir), first);
    fs::remove_file(dir.join("src/more.ts")).expect("removed");
    fs::remove_file(dir.join("tsconfig.json")).expect("removed");
    assert!(sources_digest(dir).is_err(), "a source is missing");
}

#[test]
fn a_page_lists_at_its_end_what_it_was_made_from() {
    let page =
        "<html><script>'<!-- sources sha256:bad -->'</script>\n<!-- sources sha256:00ff -->\n</html>\n";
    assert_eq!(digest_in_page(page), Some("00ff"));
    for end in (0..page.trim_end().len()).rev() {
        assert_eq!(digest_in_page(&page[..end]), None, "{}", &page[..end]);
    }
    assert_eq!(digest_in_page("<html></html>"), None);
    assert_eq!(digest_in_page(""), None);
}
