//! Request headers, read where the host put them.

/// A list of headers, pseudo-headers among them, in the order of the request. Values are bytes: what a client sends
/// need not be UTF-8.
#[derive(Debug)]
pub struct Headers<'h> {
    pairs: Vec<(&'h [u8], &'h [u8])>,
}

impl<'h> Headers<'h> {
    /// Reads a serialised map of the proxy-wasm ABI 0.2.1: the number of pairs, the lengths of each name and value (all
    /// as 32 bits, little-endian), then the names and values, each with a zero byte after it. Nothing when it is none.
    pub fn from_map(map: &'h [u8]) -> Option<Self> {
        let (count, rest) = map.split_first_chunk()?;
        let count = length(*count)?;
        let (lengths, mut texts) = rest.split_at_checked(count.checked_mul(8)?)?;
        let mut pairs = Vec::with_capacity(count);
        let (lengths, _) = lengths.as_chunks::<4>();
        let (lengths, _) = lengths.as_chunks::<2>();
        for [name, value] in lengths {
            pairs.push((take(&mut texts, length(*name)?)?, take(&mut texts, length(*value)?)?));
        }
        Some(Self { pairs })
    }

    /// All values of a header, in order.
    pub fn all<'s>(&'s self, name: &'s str) -> impl Iterator<Item = &'h [u8]> + 's {
        self.iter().filter(move |(header, _)| header.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The first value of a header.
    pub fn first(&self, name: &str) -> Option<&'h [u8]> {
        self.all(name).next()
    }

    /// Names and values.
    pub fn iter(&self) -> impl Iterator<Item = (&'h [u8], &'h [u8])> {
        self.pairs.iter().copied()
    }
}

impl<'h> FromIterator<(&'h [u8], &'h [u8])> for Headers<'h> {
    fn from_iter<I: IntoIterator<Item = (&'h [u8], &'h [u8])>>(pairs: I) -> Self {
        Self { pairs: pairs.into_iter().collect() }
    }
}

fn length(bytes: [u8; 4]) -> Option<usize> {
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

fn take<'h>(texts: &mut &'h [u8], length: usize) -> Option<&'h [u8]> {
    let (text, rest) = texts.split_at_checked(length)?;
    let (zero, rest) = rest.split_first()?;
    *texts = rest;
    (*zero == 0).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&[u8], &[u8])]) -> Vec<u8> {
        let number = |length: usize| u32::try_from(length).unwrap().to_le_bytes();
        let lengths = pairs.iter().flat_map(|(name, value)| [number(name.len()), number(value.len())]);
        let texts = pairs.iter().flat_map(|(name, value)| [name, &b"\0"[..], value, b"\0"].concat());
        let head = [number(pairs.len())].into_iter().chain(lengths).flatten();
        head.chain(texts).collect()
    }

    #[test]
    fn a_map_is_read_in_order_and_as_bytes() {
        let pairs: [(&[u8], &[u8]); 4] = [(b":path", b"/"), (b"a", b"\xff\0"), (b"A", b""), (b"", b"x")];
        let map = map(&pairs);
        let headers = Headers::from_map(&map).unwrap();
        assert_eq!(headers.iter().collect::<Vec<_>>(), pairs);
        assert_eq!(headers.all("a").collect::<Vec<_>>(), [&b"\xff\0"[..], b""]);
        assert_eq!((headers.first(":path"), headers.first("b")), (Some(&b"/"[..]), None));
        assert_eq!(Headers::from_map(&[0; 4]).unwrap().iter().count(), 0);
    }

    #[test]
    fn what_is_no_map_is_nothing() {
        let good = map(&[(b"a", b"b")]);
        for end in 0..good.len() {
            assert!(Headers::from_map(&good[..end]).is_none(), "{end}");
        }
        for bad in [&[0xff; 4][..], &[0xff; 64], &[1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0]] {
            assert!(Headers::from_map(bad).is_none(), "{bad:?}");
        }
    }
}
