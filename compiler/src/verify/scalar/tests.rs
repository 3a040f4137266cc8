//! Soundness of the scalar domain, against a concrete evaluation of its own.
