use crate::abi::{self, Record};
use crate::{entry, json};

/// Both directions of the codec, against the records that all SDKs are held to.
#[test]
fn vectors() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sandbox/abi/testdata/vectors.json");
    let vectors = std::fs::read(file).unwrap();
    let mut seen = 0;
    for v in json::elements(&vectors) {
        let name = json::string(v, "name").unwrap();
        let fields: Vec<String> =
            json::elements(json::raw(v, "fields").unwrap()).map(|f| json::unquote(f).unwrap()).collect();
        let field = |n| fields.get(n).map_or("", String::as_str);
        let number = |key| json::integer(v, key).unwrap() as u16;
        let r = Record::new(number("kind"), field(0)).flags(number("flags"));
        let r = r.payload(field(1).as_bytes()).detail(field(2)).extra(field(3));
        let bytes = unhex(&json::string(v, "hex").unwrap());
        assert_eq!(r.encode(), bytes, "{}", name);
        assert_eq!(Record::parse(&bytes), Some(r), "{}", name);
        assert!(r.kind < 0x100 || abi::name_of(r.kind) != "?", "{} has no name", name);
        seen += 1;
    }
    assert!(seen > 40, "{} vectors", seen);
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digit).collect()
}

#[test]
fn names_of_kinds() {
    let names = [
        (abi::EFFECT_REPLY, "reply"),
        (abi::EFFECT_DURABLE, "durable"),
        (abi::OP_LOG, "log"),
        (abi::OP_EVENT_ID, "event_id"),
        (abi::EFFECT_HISTORY, "history"),
        (abi::OP_HISTORY, "history"),
        (0x116, "?"),
        (0x200, "?"),
    ];
    for (kind, name) in names {
        assert_eq!(abi::name_of(kind), name, "{:#x}", kind);
    }
}

#[test]
fn malformed_records() {
    let whole = Record::new(abi::EFFECT_PUSH, "hint").payload(b"{}").detail("7").extra("x").encode();
    for n in 0..whole.len() {
        let r = Record::parse(&whole[..n]);
        let at_field = [4, 12, 18, 23].contains(&n);
        assert_eq!(r.is_some(), at_field, "{} bytes: {:?}", n, r);
    }
    let further = [&whole[..], &[1, 0, 0, 0, b'?']].concat();
    assert_eq!(Record::parse(&further), Record::parse(&whole));
    assert!(Record::parse(&[&whole[..], &[0xFF; 4]].concat()).is_none());
}

#[test]
fn inbox_is_bounded() {
    assert!(entry::inbox(usize::MAX).is_null());
    assert!(!entry::inbox(1 << 20).is_null());
}

#[test]
fn json_is_read() {
    let text =
        br#" { "a" : "x\n\u0041\ud83d\ude00\"" , "n":-12, "f" : 1.5e2,"t":true,"o":{"a":["]",2,{}]},"e":"" } "#;
    assert_eq!(json::string(text, "a").as_deref(), Some("x\nA😀\""));
    assert_eq!(json::string(text, "e").as_deref(), Some(""));
    assert_eq!(json::integer(text, "n"), Some(-12));
    assert_eq!(json::number(text, "f"), Some(150.0));
    assert_eq!(json::boolean(text, "t"), Some(true));
    let array = json::raw(json::raw(text, "o").unwrap(), "a").unwrap();
    assert_eq!(json::elements(array).collect::<Vec<_>>(), [&b"\"]\""[..], b"2", b"{}"]);
    for (key, of) in [("a", "n"), ("n", "f"), ("x", "o")] {
        assert_eq!(json::integer(text, key).filter(|_| key != "n"), None, "{} {}", key, of);
    }
    assert_eq!(json::string(text, "n"), None);
    assert_eq!(json::elements(b"[ ]").count(), 0);
}

/// What is malformed may give anything, but must end and not panic.
#[test]
fn json_is_hostile() {
    let text = br#"{"a":"\u12","b":["\\",{"c":null}],"d":"\ud83dx"}"#;
    for n in 0..=text.len() {
        for flip in [0, 1, 0x20, 0x80, 0xFF] {
            let mut broken = text[..n].to_vec();
            if let Some(last) = broken.last_mut() {
                *last ^= flip;
            }
            json::members(&broken).for_each(|(_, value)| {
                json::unquote(value);
                json::elements(value).for_each(drop);
            });
        }
    }
}
