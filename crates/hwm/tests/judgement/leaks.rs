//! Leaks in kept records: `hwm leaks`.

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::made::{MIB, Place, leaky, record};

#[test]
fn what_a_record_holds() {
    let place = Place::with(&[("leaky.json", leaky()), ("short.json", record(300))]);
    assert_data_eq!(
        place.prints(1, &["leaks", "leaky.json"]),
        str![[r#"
Leak: the job's total: 60.0 MiB a minute, from 128 MiB at 28.00 s to 296 MiB at 00:03:16 (grew all along; floor of its RSS)

"#]]
    );
    assert_data_eq!(
        place.prints(0, &["leaks", "leaky.json", "--min-growth", "500%"]),
        str![[r#"
Leaks: none found in 1 series

"#]]
    );
    assert_data_eq!(
        place.prints(2, &["leaks", "short.json"]),
        str![[r#"
Leaks: cannot tell; the record's timeline is too short or has too few readings to show growth over 00:01:00

"#]]
    );
    assert_data_eq!(
        place.prints(1, &["leaks", "short.json", "leaky.json"]),
        str![[r#"
short.json: Leaks: cannot tell; the record's timeline is too short or has too few readings to show growth over 00:01:00
leaky.json: Leak: the job's total: 60.0 MiB a minute, from 128 MiB at 28.00 s to 296 MiB at 00:03:16 (grew all along; floor of its RSS)

"#]]
    );
}

#[test]
fn as_json() {
    let place = Place::with(&[("leaky.json", leaky())]);
    let printed: Value =
        serde_json::from_str(&place.prints(1, &["leaks", "--json", "leaky.json"])).expect("JSON");
    let judged = &printed["records"][0];
    assert_eq!((&judged["record"], &judged["search"]["judged"]), (&json!("leaky.json"), &json!(1)));
    let leak = &judged["leaks"][0];
    assert_eq!((&leak["bytes_per_minute"], &leak["sureness"]), (&json!(60 * MIB), &json!("clear")));
}

#[test]
fn mistakes() {
    let place = Place::with(&[("leaky.json", leaky())]);
    assert_data_eq!(
        place.complains(2, &["leaks"]),
        str![[r#"
hwm: the following required arguments were not provided: <RECORD>... (see hwm leaks --help)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["leaks", "leaky.json", "nowhere.json"]),
        str![[r#"
hwm: nowhere.json: No such file or directory (os error 2)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["leaks", "leaky.json", "--min-growth", "half"]),
        str![[r#"
hwm: invalid value 'half' for '--min-growth <PERCENT>': give a percentage of 0 or more, such as 5% or 0.5% (see hwm leaks --help)

"#]]
    );
    assert_data_eq!(
        place.complains(2, &["leaks", "leaky.json", "--min-duration", "0s"]),
        str![[r#"
hwm: invalid value '0s' for '--min-duration <TIME>': give a time above zero and below a year (see hwm leaks --help)

"#]]
    );
    assert_data_eq!(
        place.complains(125, &["run", "--leak-min-growth", "10%", "--", "true"]),
        str![[r#"
hwm: the following required arguments were not provided: --detect-leaks (see hwm run --help)

"#]]
    );
    assert_data_eq!(
        place.complains(125, &["run", "--detect-leaks", "--leak-min-duration", "soon", "--", "true"]),
        str![[r#"
hwm: invalid value 'soon' for '--leak-min-duration <TIME>': give a time such as 500ms, 5s, 10m or 2h (see hwm run --help)

"#]]
    );
}
