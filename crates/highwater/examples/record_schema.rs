//! Prints the JSON schema of the record:
//! `cargo run -p highwater --features schema --example record_schema > docs/record.schema.json`

fn main() -> serde_json::Result<()> {
    let schema = schemars::schema_for!(highwater::record::Record);
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(())
}
