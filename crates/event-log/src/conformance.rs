//! The suite (written beside the engines).
