//! Runs a command and prints its record as JSON: `cargo run --example measure -- sleep 1`.

use highwater::{Error, Job};

fn main() -> Result<(), Error> {
    let mut args = std::env::args_os().skip(1);
    let Some(program) = args.next() else { return Err(Error::EmptyCommand) };
    let record = Job::new(program).args(args).run()?;
    println!("{}", serde_json::to_string_pretty(&record).expect("a record is always JSON"));
    Ok(())
}
