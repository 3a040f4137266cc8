//! Values that programs and host share, as Rust types: numbers, arrays and structures of them.
//!
//! Bytes are those that the program sees, in the host's byte order. Conversion is by copying, field
//! by field; padding is zeroed.

/// A type whose values programs hold as bytes.
pub trait Value: Copy {
    /// Bytes of a value.
    const SIZE: usize;

    /// Writes the value's bytes into exactly as many.
    fn write(&self, bytes: &mut [u8]);

    /// Reads a value from exactly as many bytes as it has.
    fn read(bytes: &[u8]) -> Self;

    /// The value whose bytes are all zero.
    #[must_use]
    fn zeroed() -> Self {
        Self::read(&vec![0; Self::SIZE])
    }

    /// The value's bytes.
    fn to_vec(&self) -> Vec<u8> {
        let mut bytes = vec![0; Self::SIZE];
        self.write(&mut bytes);
        bytes
    }
}

macro_rules! number {
    ($($ty:ty),*) => {$(
        impl Value for $ty {
            const SIZE: usize = size_of::<$ty>();

            fn write(&self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_ne_bytes());
            }

            fn read(bytes: &[u8]) -> Self {
                Self::from_ne_bytes(bytes.try_into().expect("as many bytes as the number has"))
            }
        }
    )*};
}

number!(u8, u16, u32, u64, i8, i16, i32, i64);

impl<T: Value, const N: usize> Value for [T; N] {
    const SIZE: usize = T::SIZE * N;

    fn write(&self, bytes: &mut [u8]) {
        assert_eq!(bytes.len(), Self::SIZE, "as many bytes as the array has");
        for (i, element) in self.iter().enumerate() {
            element.write(&mut bytes[i * T::SIZE..(i + 1) * T::SIZE]);
        }
    }

    fn read(bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), Self::SIZE, "as many bytes as the array has");
        std::array::from_fn(|i| T::read(&bytes[i * T::SIZE..(i + 1) * T::SIZE]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_and_bytes() {
        assert_eq!(0x0102_u16.to_vec(), 0x0102_u16.to_ne_bytes());
        assert_eq!(i32::read(&(-5_i32).to_ne_bytes()), -5);
        assert_eq!(<[u16; 2]>::SIZE, 4);
        assert_eq!(<[u16; 2]>::read(&[7_u16, 9].to_vec()), [7, 9]);
        assert_eq!([[1_u8, 2], [3, 4]].to_vec(), [1, 2, 3, 4]);
    }
}
