//! The one shape of events, effects and operations. abi.rs has their numbers.

/// An event, an effect or an operation. The tables of rtd/sandbox/abi say what its fields mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record<'a> {
    pub kind: u16,
    pub flags: u16,
    pub name: &'a [u8],
    pub payload: &'a [u8],
    pub detail: &'a [u8],
    pub extra: &'a [u8],
}

impl<'a> Record<'a> {
    /// A record with a name, and nothing else.
    pub fn new(kind: u16, name: &'a str) -> Record<'a> {
        Record { kind, name: name.as_bytes(), ..Record::default() }
    }

    pub fn flags(self, flags: u16) -> Record<'a> {
        Record { flags, ..self }
    }

    pub fn payload(self, payload: &'a [u8]) -> Record<'a> {
        Record { payload, ..self }
    }

    pub fn detail(self, detail: &'a str) -> Record<'a> {
        Record { detail: detail.as_bytes(), ..self }
    }

    pub fn extra(self, extra: &'a str) -> Record<'a> {
        Record { extra: extra.as_bytes(), ..self }
    }

    /// Reads a record, which aliases the bytes. `None` is for bytes that are none.
    pub fn parse(bytes: &'a [u8]) -> Option<Record<'a>> {
        let header = bytes.get(..4)?;
        let mut fields: [&[u8]; 4] = [&[]; 4];
        let mut rest = &bytes[4..];
        let mut n = 0;
        while !rest.is_empty() {
            let (field, behind) = cut_field(rest)?;
            if let Some(known) = fields.get_mut(n) {
                *known = field;
            }
            rest = behind;
            n += 1;
        }
        let [name, payload, detail, extra] = fields;
        let kind = u16::from_le_bytes([header[0], header[1]]);
        let flags = u16::from_le_bytes([header[2], header[3]]);
        Some(Record { kind, flags, name, payload, detail, extra })
    }

    /// The record's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let fields = [self.name, self.payload, self.detail, self.extra];
        let used = match (self.detail, self.extra) {
            ([], []) => 2,
            (_, []) => 3,
            _ => 4,
        };
        let size = 4 + fields[..used].iter().map(|f| 4 + f.len()).sum::<usize>();
        let mut bytes = Vec::with_capacity(size);
        bytes.extend_from_slice(&self.kind.to_le_bytes());
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        for field in &fields[..used] {
            push_field(&mut bytes, field);
        }
        bytes
    }

    pub(crate) fn has(&self, flag: u16) -> bool {
        self.flags & flag != 0
    }
}

/// Appends a length and the bytes. Answers and payloads that are lists consist of such fields.
pub fn push_field(list: &mut Vec<u8>, field: &[u8]) {
    list.extend_from_slice(&(field.len() as u32).to_le_bytes());
    list.extend_from_slice(field);
}

/// The first field and what follows; `None` if the bytes begin with none.
pub fn cut_field(list: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = (list.get(..4)?, &list[4..]);
    let n = u32::from_le_bytes([length[0], length[1], length[2], length[3]]) as usize;
    (n <= rest.len()).then(|| rest.split_at(n))
}

/// The fields of a list. It stops at bytes that are none.
pub fn fields(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let (field, behind) = cut_field(rest)?;
        rest = behind;
        Some(field)
    })
}

/// Bytes that should be UTF-8. A client's binary frame can have an event's name that is not, for
/// which this character stands.
pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("\u{FFFD}")
}
