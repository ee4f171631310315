//! Messages of D-Bus as bytes, as far as two calls and their replies need them: the D-Bus Specification, "Marshaling" and
//! "Message Protocol" (<https://dbus.freedesktop.org/doc/dbus-specification.html>).
//!
//! Messages are in the byte order of this machine, which the service manager beside it uses, too. A reply in the other one
//! is refused.

use super::refusal::{ScopeRefusal, printable};

/// Longest message that is read. Replies to the calls of this program take some 200 bytes; an error's text may be longer.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 << 10;
/// Length of the part of a message that tells the length of the rest.
pub(super) const FIXED_HEADER_BYTES: usize = 16;

const BYTE_ORDER: u8 = if cfg!(target_endian = "little") { b'l' } else { b'B' };
const PROTOCOL_VERSION: u8 = 1;
const METHOD_CALL: u8 = 1;
const METHOD_RETURN: u8 = 2;
const ERROR: u8 = 3;
/// `NO_AUTO_START`. `ALLOW_INTERACTIVE_AUTHORIZATION` (4) is not set: no call may ask a user for a password.
const CALL_FLAGS: u8 = 2;

/// A method of an object on the bus.
#[derive(Debug, Clone, Copy)]
pub(super) struct BusMethod {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
    pub(super) member: &'static str,
}

/// Arguments of a call, with their types.
#[derive(Debug, Default)]
pub(super) struct CallArguments {
    signature: String,
    bytes: MarshalledBytes,
}

/// The value of a unit's property.
#[derive(Debug, Clone, Copy)]
pub(super) enum PropertyValue<'a> {
    Bool(bool),
    U64(u64),
    Text(&'a str),
    Pids(&'a [u32]),
}

/// Marshalled values. Each is aligned to its size, counted from the beginning of the message or of its body.
#[derive(Debug, Default)]
struct MarshalledBytes(Vec<u8>);

impl MarshalledBytes {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn u32(&mut self, value: u32) {
        self.align(4);
        self.0.extend(value.to_ne_bytes());
    }

    /// Adds a string or an object path.
    fn text(&mut self, text: &str) {
        self.length(text.len());
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, signature: &str) {
        // The signatures of this module are far shorter than 255.
        self.0.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.0.extend(signature.as_bytes());
        self.0.push(0);
    }

    fn length(&mut self, length: usize) {
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    /// Adds an array whose elements are aligned to `alignment`. Its length leaves the padding before the first one out.
    fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let at = self.0.len() - 4;
        self.align(alignment);
        let begin = self.0.len();
        elements(self);
        let length = u32::try_from(self.0.len() - begin).unwrap_or(u32::MAX);
        if let Some(place) = self.0.get_mut(at..at + 4) {
            place.copy_from_slice(&length.to_ne_bytes());
        }
    }
}

impl CallArguments {
    pub(super) fn text(mut self, text: &str) -> Self {
        self.signature.push('s');
        self.bytes.text(text);
        self
    }

    /// Adds properties of a unit.
    pub(super) fn properties(mut self, properties: &[(&str, PropertyValue<'_>)]) -> Self {
        self.signature.push_str("a(sv)");
        self.bytes.array(8, |bytes| {
            for (name, value) in properties {
                bytes.align(8);
                bytes.text(name);
                match value {
                    PropertyValue::Bool(value) => {
                        bytes.signature("b");
                        bytes.u32(u32::from(*value));
                    }
                    PropertyValue::U64(value) => {
                        bytes.signature("t");
                        bytes.align(8);
                        bytes.0.extend(value.to_ne_bytes());
                    }
                    PropertyValue::Text(text) => {
                        bytes.signature("s");
                        bytes.text(text);
                    }
                    PropertyValue::Pids(pids) => {
                        bytes.signature("au");
                        bytes.array(4, |bytes| pids.iter().for_each(|&pid| bytes.u32(pid)));
                    }
                }
            }
        });
        self
    }

    /// Adds an empty list of units that are to be made beside.
    pub(super) fn no_other_units(mut self) -> Self {
        self.signature.push_str("a(sa(sv))");
        self.bytes.array(8, |_| {});
        self
    }
}

/// Builds the message of a call.
pub(super) fn call(method: BusMethod, serial: u32, arguments: &CallArguments) -> Vec<u8> {
    let mut message = MarshalledBytes(vec![BYTE_ORDER, METHOD_CALL, CALL_FLAGS, PROTOCOL_VERSION]);
    message.length(arguments.bytes.0.len());
    message.u32(serial);
    message.array(8, |bytes| {
        let fields = [
            (1, "o", method.path),
            (2, "s", method.interface),
            (3, "s", method.member),
            (6, "s", method.destination),
        ];
        for (code, kind, value) in fields {
            bytes.align(8);
            bytes.0.push(code);
            bytes.signature(kind);
            bytes.text(value);
        }
        if !arguments.signature.is_empty() {
            bytes.align(8);
            bytes.0.push(8);
            bytes.signature("g");
            bytes.signature(&arguments.signature);
        }
    });
    message.align(8);
    message.0.extend(&arguments.bytes.0);
    message.0
}

/// Returns the length of the message that begins with `fixed_header`.
pub(super) fn message_length(fixed_header: &[u8; FIXED_HEADER_BYTES]) -> Result<usize, ScopeRefusal> {
    let mut reader = MessageReader { message: fixed_header, at: 0 };
    let header = FixedMessageHeader::read(&mut reader).ok_or(ScopeRefusal::Garbled)?;
    let fields_end = (FIXED_HEADER_BYTES as u64 + u64::from(header.fields)).next_multiple_of(8);
    let length = fields_end + u64::from(header.body);
    usize::try_from(length).ok().filter(|&length| length <= MAX_MESSAGE_BYTES).ok_or(ScopeRefusal::TooLong)
}

/// Returns the outcome of the call with that number; `None` if the message is none of its replies, such as a signal.
pub(super) fn reply_to(
    serial: u32,
    message: &[u8],
) -> Result<Option<Result<(), ScopeRefusal>>, ScopeRefusal> {
    let reply = BusReply::read(message).ok_or(ScopeRefusal::Garbled)?;
    if reply.serial != Some(serial) {
        return Ok(None);
    }
    Ok(match reply.kind {
        METHOD_RETURN => Some(Ok(())),
        ERROR => Some(Err(ScopeRefusal::Error {
            name: printable(reply.error_name.unwrap_or("an error without a name")),
            text: printable(reply.text.unwrap_or_default()),
        })),
        _ => None,
    })
}

struct FixedMessageHeader {
    kind: u8,
    body: u32,
    fields: u32,
}

impl FixedMessageHeader {
    fn read(reader: &mut MessageReader<'_>) -> Option<Self> {
        let [order, kind, _flags, version] = *reader.take(4)? else { return None };
        let body = reader.u32()?;
        let _serial = reader.u32()?;
        let fields = reader.u32()?;
        (order == BYTE_ORDER && version == PROTOCOL_VERSION).then_some(Self { kind, body, fields })
    }
}

/// The parts of a message that matter.
struct BusReply<'a> {
    kind: u8,
    serial: Option<u32>,
    error_name: Option<&'a str>,
    /// The first argument, if it is a text.
    text: Option<&'a str>,
}

impl<'a> BusReply<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut reader = MessageReader { message, at: 0 };
        let header = FixedMessageHeader::read(&mut reader)?;
        let fields_end = FIXED_HEADER_BYTES.checked_add(usize::try_from(header.fields).ok()?)?;
        let mut reply = Self { kind: header.kind, serial: None, error_name: None, text: None };
        let mut signature = "";
        while reader.at < fields_end {
            reader.align(8)?;
            let code = *reader.take(1)?.first()?;
            match (code, reader.signature()?) {
                (4, "s") => reply.error_name = Some(reader.text()?),
                (5, "u") => reply.serial = Some(reader.u32()?),
                (8, "g") => signature = reader.signature()?,
                (_, "s" | "o") => drop(reader.text()?),
                (_, "u") => drop(reader.u32()?),
                (_, "g") => drop(reader.signature()?),
                // The specification has no field of another type.
                _ => return None,
            }
        }
        if reader.at != fields_end {
            return None;
        }
        reader.align(8)?;
        // Values in the body are aligned as in the message, as the body begins at a multiple of 8.
        if signature.starts_with('s') {
            reply.text = Some(reader.text()?);
        }
        Some(reply)
    }
}

/// A part of a message, read from its begin. `None` where it ends early.
struct MessageReader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> MessageReader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.message.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }

    fn align(&mut self, to: usize) -> Option<()> {
        self.take(self.at.next_multiple_of(to) - self.at).map(drop)
    }

    fn u32(&mut self) -> Option<u32> {
        self.align(4)?;
        Some(u32::from_ne_bytes(self.take(4)?.try_into().ok()?))
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = usize::try_from(self.u32()?).ok()?;
        self.terminated(length)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = usize::from(*self.take(1)?.first()?);
        self.terminated(length)
    }

    fn terminated(&mut self, length: usize) -> Option<&'a str> {
        let text = str::from_utf8(self.take(length)?).ok()?;
        (self.take(1)? == [0]).then_some(text)
    }
}

#[cfg(test)]
pub(super) mod tests;
