use crate::abi;

/// A payload for clients: JSON text, in a `&str`, `&[u8]`, `String`, [`json::Object`](crate::json::Object)
/// or whatever else has bytes, or [`Binary`]. A reply's is any value, the others are objects; ""
/// stands for `{}`.
pub trait Payload {
    /// The payload as it is sent.
    fn bytes(&self) -> &[u8];

    /// Flags of [`abi`].
    #[doc(hidden)]
    fn flags(&self) -> u16 {
        0
    }
}

impl<T: AsRef<[u8]>> Payload for T {
    fn bytes(&self) -> &[u8] {
        self.as_ref()
    }
}

/// A payload of any bytes, which the client gets as such: `s.push("frame", Binary(&pixels))`. Topics
/// and the names of events are then at most 255 bytes long.
#[derive(Clone, Copy, Debug)]
pub struct Binary<'a>(pub &'a [u8]);

impl Payload for Binary<'_> {
    fn bytes(&self) -> &[u8] {
        self.0
    }

    fn flags(&self) -> u16 {
        abi::BINARY
    }
}
