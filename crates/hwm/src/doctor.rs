//! `hwm doctor`: what can be measured on this machine, and what would make the rest possible.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anstyle::{AnsiColor, Style};
use highwater::{
    Roots,
    doctor::{Examined, MechanismState, Prospect, examine, examine_without_drivers},
    gpu::Monitor,
};

use crate::{
    args::DoctorArgs,
    console::print,
    gpu_guard::{self, DriverWait},
    output::terminal::summary::line,
    terminal, text,
};

pub(crate) fn run(args: &DoctorArgs) -> anyhow::Result<ExitCode> {
    gpu_guard::report_crashes();
    if args.raw {
        return raw();
    }
    let examined = match gpu_guard::probe_drivers() {
        Ok(()) => examine(&Roots::default()),
        Err(why) => examine_without_drivers(&Roots::default(), &why),
    };
    let mut stdout = anstream::stdout().lock();
    let written = if args.json {
        json(&mut stdout, &examined)
    } else {
        prospect(&mut stdout, &Prospect::of(&examined), terminal::wanted_width())
            .and_then(|()| table(&mut stdout, &examined))
    };
    match written.and_then(|()| stdout.flush()) {
        // The reader has seen enough: `hwm doctor | head -1`.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(ExitCode::SUCCESS),
        other => Ok(other.map(|()| ExitCode::SUCCESS)?),
    }
}

fn raw() -> anyhow::Result<ExitCode> {
    let wait = DriverWait::begin();
    let lines = Monitor::new().raw();
    drop(wait);
    let mut text: String = lines.iter().map(|line| text::printable(line) + "\n").collect();
    if lines.is_empty() {
        text.push_str("no GPU source has anything to show\n");
    }
    print(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn json(to: &mut impl Write, examined: &[Examined]) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *to, examined)?;
    writeln!(to)
}

/// Writes what measurements yield here, before the evidence.
fn prospect(to: &mut impl Write, prospect: &Prospect, width: usize) -> io::Result<()> {
    let Prospect { gets, better_with, missing, .. } = prospect;
    let mut is_any = false;
    for (label, phrases) in [("You will get:", gets), ("Better with:", better_with), ("Not here:", missing)] {
        let mut label = label;
        for phrase in phrases {
            line(to, width, label, phrase)?;
            (label, is_any) = ("", true);
        }
    }
    if is_any { writeln!(to) } else { Ok(()) }
}

fn table(to: &mut impl Write, examined: &[Examined]) -> io::Result<()> {
    const YES_STYLE: Style = AnsiColor::Green.on_default();
    const NO_STYLE: Style = AnsiColor::Yellow.on_default();
    const DIM_STYLE: Style = Style::new().dimmed();
    if examined.is_empty() {
        return writeln!(
            to,
            "This system has no mechanisms that hwm could try one by one; docs/platforms.md lists what hwm measures here."
        );
    }
    let width = examined.iter().map(|one| one.mechanism.len()).max().unwrap_or(0);
    for Examined { mechanism, gives, in_use, state, .. } in examined {
        let (style, word) = match state {
            MechanismState::Works { .. } => (YES_STYLE, "yes"),
            MechanismState::Missing { .. } => (NO_STYLE, "no "),
        };
        write!(to, "{style}{word}{style:#}  {mechanism:width$}  {gives}")?;
        match state {
            MechanismState::Works { detail } => {
                if let Some(detail) = detail {
                    write!(to, ": {}", text::printable(detail))?;
                }
                if !in_use {
                    write!(to, " {DIM_STYLE}(available; not used by this version){DIM_STYLE:#}")?;
                }
            }
            MechanismState::Missing { why, remedy } => {
                if !in_use {
                    write!(to, " {DIM_STYLE}(not used by this version){DIM_STYLE:#}")?;
                }
                write!(to, "\n     {}", text::printable(why))?;
                if let Some(remedy) = remedy {
                    write!(to, "\n     {remedy}")?;
                }
            }
        }
        writeln!(to)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_hold_every_mechanism() {
        let examined = examine(&Roots::default());
        let (mut text, mut document) = (Vec::new(), Vec::new());
        table(&mut text, &examined).unwrap();
        json(&mut document, &examined).unwrap();
        let text = String::from_utf8(text).unwrap();
        let document: serde_json::Value = serde_json::from_slice(&document).unwrap();
        assert_eq!(document.as_array().map(Vec::len), Some(examined.len()));
        for (one, object) in examined.iter().zip(document.as_array().unwrap()) {
            assert!(text.contains(one.mechanism));
            assert_eq!(object["mechanism"], one.mechanism);
            assert!(object["state"] == "works" || object["why"].is_string());
        }
    }

    #[test]
    fn results_come_before_the_evidence() {
        let examined = examine(&Roots::default());
        let mut text = Vec::new();
        prospect(&mut text, &Prospect::of(&examined), 80).unwrap();
        let text = anstream::adapter::strip_bytes(&text).into_vec();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("You will get:     "), "{text}");
        assert!(text.ends_with("\n\n"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }
}
