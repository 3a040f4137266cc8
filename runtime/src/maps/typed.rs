//! Maps with keys and values as Rust types.
//!
//! A type is checked against the map once, by size; what its bytes mean is the program's to say.

use std::fmt;
use std::marker::PhantomData;

use super::{MapError, MapHandle, Update};
use crate::value::Value;

/// A map whose keys are `K` and whose values are `V`.
pub struct TypedMap<K, V> {
    map: MapHandle,
    types: PhantomData<fn(K) -> V>,
}

impl<K, V> Clone for TypedMap<K, V> {
    fn clone(&self) -> Self {
        Self { map: self.map.clone(), types: PhantomData }
    }
}

impl<K, V> fmt::Debug for TypedMap<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedMap").field(&self.map).finish()
    }
}

impl MapHandle {
    /// The map with keys and values as Rust types.
    ///
    /// # Errors
    ///
    /// A type of another size than the map's keys or values.
    pub fn typed<K: Value, V: Value>(self) -> Result<TypedMap<K, V>, MapError> {
        let size = |size| u32::try_from(size).expect("sizes of maps have 32 bits");
        if K::SIZE != self.key_size() {
            return Err(MapError::KeySize { expected: size(self.key_size()), found: K::SIZE });
        }
        if V::SIZE != self.value_size() {
            return Err(MapError::ValueSize { expected: size(self.value_size()), found: V::SIZE });
        }
        Ok(TypedMap { map: self, types: PhantomData })
    }
}

impl<K: Value, V: Value> TypedMap<K, V> {
    /// The map without its types.
    #[must_use]
    pub fn handle(&self) -> &MapHandle {
        &self.map
    }

    /// See [`MapHandle::lookup`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn lookup(&self, key: &K) -> Result<Option<V>, MapError> {
        Ok(self.map.lookup(&key.to_vec())?.map(|value| V::read(&value)))
    }

    /// See [`MapHandle::lookup_percpu`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn lookup_percpu(&self, key: &K) -> Result<Option<Vec<V>>, MapError> {
        let values = self.map.lookup_percpu(&key.to_vec())?;
        Ok(values.map(|values| values.iter().map(|value| V::read(value)).collect()))
    }

    /// See [`MapHandle::update`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn update(&self, key: &K, value: &V, update: Update) -> Result<(), MapError> {
        self.map.update(&key.to_vec(), &value.to_vec(), update)
    }

    /// See [`MapHandle::update_percpu`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn update_percpu(&self, key: &K, values: &[V], update: Update) -> Result<(), MapError> {
        let values: Vec<_> = values.iter().map(Value::to_vec).collect();
        self.map.update_percpu(&key.to_vec(), &values, update)
    }

    /// See [`MapHandle::delete`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn delete(&self, key: &K) -> Result<(), MapError> {
        self.map.delete(&key.to_vec())
    }

    /// See [`MapHandle::keys`].
    pub fn keys(&self) -> impl Iterator<Item = K> + use<K, V> {
        self.map.keys().map(|key| K::read(&key))
    }

    /// See [`MapHandle::entries`].
    ///
    /// # Errors
    ///
    /// As there.
    pub fn entries(&self) -> Result<Vec<(K, V)>, MapError> {
        Ok(self.map.entries()?.iter().map(|(key, value)| (K::read(key), V::read(value))).collect())
    }
}
