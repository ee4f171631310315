//! The digest that ties a built page of `hwm view --html` to the sources that it was made from.
//!
//! `viewer/vite.config.ts` computes the same digest and writes it into the page.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

/// Files and directories of `viewer/` that the page is made from. A directory counts with all files in it.
pub(crate) const PAGE_SOURCES: [&str; 6] =
    ["index.html", "package-lock.json", "package.json", "src", "tsconfig.json", "vite.config.ts"];

/// Computes the SHA-256 of all sources in `viewer`, in hexadecimal: path, length and content of each, in order of path.
pub(crate) fn sources_digest(viewer: &Path) -> io::Result<String> {
    let mut files = BTreeMap::new();
    for name in PAGE_SOURCES {
        collect_files(&viewer.join(name), name.to_owned(), &mut files)?;
    }
    let mut sha256 = Sha256::new();
    for (name, file) in files {
        let content = fs::read(file)?;
        sha256.update(format!("{name}\0{}\0", content.len()));
        sha256.update(content);
    }
    Ok(sha256.finalize().iter().fold(String::new(), |digits, byte| digits + &format!("{byte:02x}")))
}

fn collect_files(path: &Path, name: String, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.insert(name, path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let below = format!("{name}/{}", entry.file_name().to_string_lossy());
        collect_files(&entry.path(), below, files)?;
    }
    Ok(())
}

/// Returns the digest that ends a page. A page that was cut short has none.
pub(crate) fn digest_in_page(page: &str) -> Option<&str> {
    let comment = page.trim_end().strip_suffix("</html>")?.trim_end().strip_suffix(" -->")?;
    comment.rsplit_once("<!-- sources sha256:").map(|(_, digest)| digest)
}
