//! A record, or two, as one page that needs nothing else: the built viewer with the records packed into it.

pub(crate) mod payload;

use std::io::{self, Write};

use anyhow::Context;
use highwater::{job::Rows, record::Record};

use super::report::Report;
use payload::Packed;

/// The built viewer; `None` if hwm was built without it.
const BUILT_IN_PAGE: Option<&str> = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The place of the records in the page: the content of a script element that no browser runs.
const PAYLOAD_PLACE: &str = "hwm:payload";

/// The message if there is no page.
const NO_PAGE: &str = "this hwm was built without its page, so it writes no HTML: take a released hwm, or build hwm \
     again with HWM_PAGE=build (npm of Node.js 20.19 or newer makes the page, with the network) or after \
     `npm ci --ignore-scripts && npm run build` in viewer/";

/// The viewer, to put records into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page {
    before: &'static str,
    after: &'static str,
}

impl Page {
    /// Returns the viewer that hwm was built with.
    pub(crate) fn built_in() -> anyhow::Result<Self> {
        let (before, after) =
            BUILT_IN_PAGE.and_then(|page| page.split_once(PAYLOAD_PLACE)).context(NO_PAGE)?;
        Ok(Self { before, after })
    }

    /// Writes the page with these runs in it. What comes from the job stands in base64 alone: nothing of it can be
    /// taken for markup.
    pub(crate) fn write(&self, runs: &[Packed], out: &mut dyn Write) -> io::Result<()> {
        out.write_all(self.before.as_bytes())?;
        payload::write(runs, out)?;
        out.write_all(self.after.as_bytes())
    }
}

/// The page with one run in it.
#[derive(Debug)]
pub(crate) struct HtmlReport {
    page: Page,
}

impl HtmlReport {
    pub(crate) fn new() -> anyhow::Result<Self> {
        Ok(Self { page: Page::built_in()? })
    }
}

impl Report for HtmlReport {
    fn write(&self, record: &Record<Rows>, out: &mut dyn Write) -> io::Result<()> {
        let packed = Packed::new(record, record.processes.iter())?;
        self.page.write(&[packed], out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg_attr(not(page), ignore = "hwm was built without its page: .ci/page makes it, or HWM_PAGE=build")]
    fn the_page_has_one_place_for_the_records_and_loads_nothing() {
        let page = BUILT_IN_PAGE.expect("the page");
        assert_eq!(page.matches(PAYLOAD_PLACE).count(), 1);
        assert!(page.contains("Content-Security-Policy") && page.contains("default-src 'none'"));
        for outside in ["src=\"http", "href=\"http", "url(http", "@import"] {
            assert!(!page.contains(outside), "{outside}");
        }
        // uPlot's licence asks for its notice in every copy.
        assert!(page.contains("Leon Sorokin") && page.contains("Permission is hereby granted"));
    }
}
