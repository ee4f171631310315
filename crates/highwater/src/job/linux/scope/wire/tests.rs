use super::*;

const METHOD: BusMethod = BusMethod {
    destination: "org.example.A",
    path: "/org/example/A",
    interface: "org.example.I",
    member: "Do",
};

/// Builds a reply as a bus would: fields of the header, signature, and a body of texts.
pub(in super::super) fn reply(
    kind: u8,
    serial: u32,
    error_name: Option<&str>,
    text: Option<&str>,
) -> Vec<u8> {
    let mut body = MarshalledBytes::default();
    if let Some(text) = text {
        body.text(text);
    }
    let mut message = MarshalledBytes(vec![BYTE_ORDER, kind, 1, PROTOCOL_VERSION]);
    message.length(body.0.len());
    message.u32(7);
    message.array(8, |bytes| {
        bytes.0.push(5);
        bytes.signature("u");
        bytes.u32(serial);
        for (code, kind, value) in
            [(4, "s", error_name), (6, "s", Some(":1.7")), (7, "s", Some("org.example.A"))]
        {
            if let Some(value) = value {
                bytes.align(8);
                bytes.0.push(code);
                bytes.signature(kind);
                bytes.text(value);
            }
        }
        if text.is_some() {
            bytes.align(8);
            bytes.0.push(8);
            bytes.signature("g");
            bytes.signature("s");
        }
    });
    message.align(8);
    message.0.extend(body.0);
    message.0
}

pub(in super::super) const RETURN: u8 = METHOD_RETURN;
pub(in super::super) const FAILURE: u8 = ERROR;

#[cfg(target_endian = "little")]
#[test]
fn a_call_is_what_the_specification_says() {
    let arguments = CallArguments::default().text("ab");
    let mut expected = Vec::new();
    expected.extend(b"l\x01\x02\x01\x07\0\0\0\x09\0\0\0\x5f\0\0\0");
    expected.extend(b"\x01\x01o\0\x0e\0\0\0/org/example/A\0\0");
    expected.extend(b"\x02\x01s\0\x0d\0\0\0org.example.I\0\0\0");
    expected.extend(b"\x03\x01s\0\x02\0\0\0Do\0\0\0\0\0\0");
    expected.extend(b"\x06\x01s\0\x0d\0\0\0org.example.A\0\0\0");
    expected.extend(b"\x08\x01g\0\x01s\0\0");
    expected.extend(b"\x02\0\0\0ab\0");
    let message = call(METHOD, 9, &arguments);
    assert_eq!(message.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn no_call_lets_a_user_be_asked_for_a_password() {
    let message = call(METHOD, 1, &CallArguments::default());
    assert_eq!(message[2] & 4, 0, "ALLOW_INTERACTIVE_AUTHORIZATION");
}

#[cfg(target_endian = "little")]
#[test]
fn properties_are_aligned_structs() {
    let arguments = CallArguments::default().properties(&[
        ("A", PropertyValue::Bool(true)),
        ("Tasks", PropertyValue::U64(u64::MAX)),
        ("B", PropertyValue::Text("x")),
        ("P", PropertyValue::Pids(&[5])),
    ]);
    assert_eq!(arguments.signature, "a(sv)");
    let mut expected = Vec::new();
    expected.extend(b"\x54\0\0\0\0\0\0\0");
    expected.extend(b"\x01\0\0\0A\0\x01b\0\0\0\0\x01\0\0\0");
    expected.extend(b"\x05\0\0\0Tasks\0\x01t\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff");
    expected.extend(b"\x01\0\0\0B\0\x01s\0\0\0\0\x01\0\0\0x\0\0\0");
    expected.extend(b"\0\0\0\0");
    expected.extend(b"\x01\0\0\0P\0\x02au\0\0\0\x04\0\0\0\x05\0\0\0");
    // Struct 3 ends at a multiple of 4, struct 4 begins at one of 8.
    let actual = arguments.bytes.0;
    let length = u32::from_le_bytes(actual[..4].try_into().unwrap()) as usize;
    assert_eq!(actual.len(), 8 + length);
    expected[0] = actual[0];
    assert_eq!(actual.escape_ascii().to_string(), expected.escape_ascii().to_string());
}

#[test]
fn replies_are_matched_by_their_number() {
    assert!(matches!(reply_to(3, &reply(METHOD_RETURN, 3, None, Some("/job/1"))), Ok(Some(Ok(())))));
    assert!(matches!(reply_to(3, &reply(METHOD_RETURN, 3, None, None)), Ok(Some(Ok(())))));
    assert!(matches!(reply_to(3, &reply(METHOD_RETURN, 2, None, None)), Ok(None)));
    assert!(matches!(reply_to(3, &reply(4, 3, None, None)), Ok(None)), "a signal");
}

#[test]
fn an_error_is_repeated_on_one_line_and_in_part() {
    let text = format!("no\nsuch\x1b[31m {}", "x".repeat(10_000));
    let message = reply(ERROR, 3, Some("org.example.Error.No"), Some(&text));
    let Ok(Some(Err(refusal))) = reply_to(3, &message) else { panic!("an error") };
    let text = refusal.to_string();
    assert!(text.starts_with("org.example.Error.No: no such [31m xx"), "{text}");
    assert!(text.len() < 250 && !text.contains(char::is_control), "{text}");
}

#[test]
fn lengths_are_bounded_before_anything_is_read() {
    let fixed = |body: u32, fields: u32| {
        let mut header = reply(METHOD_RETURN, 1, None, None);
        header.truncate(FIXED_HEADER_BYTES);
        header[4..8].copy_from_slice(&body.to_ne_bytes());
        header[12..16].copy_from_slice(&fields.to_ne_bytes());
        message_length(&header.try_into().unwrap())
    };
    assert_eq!(fixed(5, 9).unwrap(), 16 + 16 + 5);
    for (body, fields) in [(u32::MAX, 0), (0, u32::MAX), (u32::MAX, u32::MAX), (1 << 16, 0)] {
        assert!(matches!(fixed(body, fields), Err(ScopeRefusal::TooLong)), "{body} {fields}");
    }
    assert!(matches!(message_length(b"B\x02\0\x01\0\0\0\0\0\0\0\0\0\0\0\0"), Err(ScopeRefusal::Garbled)));
    assert!(matches!(message_length(&[0; FIXED_HEADER_BYTES]), Err(ScopeRefusal::Garbled)));
}

#[test]
fn a_reply_that_was_cut_is_garbled() {
    let message = reply(ERROR, 3, Some("org.example.Error.No"), Some("text"));
    for length in 0..message.len() {
        assert!(matches!(reply_to(3, &message[..length]), Err(ScopeRefusal::Garbled)), "{length}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = reply_to(1, &bytes);
    }

    /// Changes bytes of a right reply, which gets further.
    #[test]
    fn any_changes(changes in proptest::collection::vec((0..100_usize, proptest::prelude::any::<u8>()), 1..8)) {
        let mut message = reply(ERROR, 1, Some("org.example.E"), Some("text"));
        for (at, byte) in changes {
            let length = message.len();
            message[at % length] = byte;
        }
        let _ = reply_to(1, &message);
    }
}
