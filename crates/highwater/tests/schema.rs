//! Checks `docs/record.schema.json` against the types, and records against the schema.
#![cfg(feature = "schema")]

use highwater::record::Record;
use serde_json::{Value, json};

const OUT_OF_DATE: &str = "docs/record.schema.json is out of date: \
    cargo run -p highwater --features schema --example record_schema > docs/record.schema.json";

fn schema() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/record.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn golden() -> Value {
    serde_json::from_str(include_str!("records/1.0.json")).unwrap()
}

#[test]
fn the_file_is_made_from_the_types() {
    assert!(schema() == serde_json::to_value(schemars::schema_for!(Record)).unwrap(), "{OUT_OF_DATE}");
}

#[test]
fn the_golden_record_follows_the_schema() {
    let schema = schema();
    assert_eq!(faults(&schema, &schema, &golden(), "record"), Vec::<String>::new());
}

#[test]
fn a_record_that_breaks_the_schema_is_found_out() {
    let schema = schema();
    let broken: [fn(&mut Value); 5] = [
        |record| record["samples"] = json!("many"),
        |record| record["samples"] = json!(-1),
        |record| record["interval_mode"] = json!("now and then"),
        |record| record["processes"][1]["peak"]["rss"]["source"] = json!(3),
        |record| drop(record["capture"].as_object_mut().unwrap().remove("lineage")),
    ];
    for (case, breaks) in broken.iter().enumerate() {
        let mut record = golden();
        breaks(&mut record);
        assert_eq!(faults(&schema, &schema, &record, "record").len(), 1, "case {case}");
    }
}

/// Returns where `value` departs from `schema`. It knows the keywords that schemars writes for these types.
/// Stricter than JSON Schema, it reports fields that the schema does not name.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        let target = root.pointer(name.trim_start_matches('#')).expect(name);
        return faults(root, target, value, at);
    }
    let alternatives = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
    if let Some(alternatives) = alternatives {
        let fits = |one: &Value| faults(root, one, value, at).is_empty();
        return if alternatives.iter().any(fits) {
            vec![]
        } else {
            vec![format!("{at}: fits no alternative")]
        };
    }
    if schema.get("const").is_some_and(|constant| constant != value)
        || schema["enum"].as_array().is_some_and(|values| !values.contains(value))
        || schema["minimum"].as_f64().is_some_and(|least| value.as_f64().is_some_and(|v| v < least))
    {
        return vec![format!("{at}: {value} is not allowed")];
    }
    let types = match &schema["type"] {
        Value::Array(types) => types.clone(),
        Value::Null => vec![],
        one => vec![one.clone()],
    };
    if !types.is_empty() && !types.iter().any(|name| has_type(value, name.as_str().expect("a name"))) {
        return vec![format!("{at}: {value} is not of type {}", schema["type"])];
    }
    match value {
        Value::Object(fields) => object_faults(root, schema, fields, at),
        Value::Array(values) if schema.get("items").is_some() => {
            let each = values.iter().enumerate();
            each.flat_map(|(i, value)| faults(root, &schema["items"], value, &format!("{at}[{i}]"))).collect()
        }
        _ => vec![],
    }
}

fn object_faults(
    root: &Value,
    schema: &Value,
    fields: &serde_json::Map<String, Value>,
    at: &str,
) -> Vec<String> {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let absent = required.filter(|name| !fields.contains_key(*name)).map(|name| format!("{at}: no {name}"));
    let mut found: Vec<String> = absent.collect();
    for (name, value) in fields {
        match schema["properties"].get(name) {
            Some(schema) => found.extend(faults(root, schema, value, &format!("{at}.{name}"))),
            None => found.push(format!("{at}: {name} stands in no schema")),
        }
    }
    found
}

fn has_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => false,
    }
}
