//! Why a client gets an answer.
