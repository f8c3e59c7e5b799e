//! A session with one token: loading the module, finding the token, logging in, and signing.
//!
//! A session is opened when something is to be done, and opened again when the token has lost it. The
//! PIN is read from its file for each login and wiped afterwards. A PIN that was refused is not tried
//! again until its file changes, because tokens lock themselves after a few wrong ones. After a failed
//! attempt to connect there is a pause, so that thousands of signatures do not make thousands of
//! attempts; another PIN ends it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::eddsa::{EddsaParams, EddsaSignatureScheme};
use cryptoki::object::{ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};
use cryptoki::slot::{Slot, TokenInfo};
use cryptoki::types::AuthPin;
use ring::digest::{SHA256, SHA384, digest};

use super::objects::{self, KeyRequest};
use crate::dnssec::SigningAlgorithm;
use crate::dnssec::token_uri::{TokenAddress, TokenObject, TokenSelector};
use crate::files::{self, FileKind, FilePrint};

/// How long nobody connects after an attempt has failed.
const PAUSE: Duration = Duration::from_secs(2);

/// A token, and the session with it if there is one.
pub(super) struct TokenSession {
    address: TokenAddress,
    /// Once loaded it stays loaded.
    module: Option<Pkcs11>,
    open: Option<OpenSession>,
    /// The version of the file whose PIN was refused.
    refused_pin: Option<FilePrint>,
    failed: Option<FailedConnect>,
}

/// The last attempt to connect, which has failed.
struct FailedConnect {
    at: Instant,
    /// The version of the file with the PIN.
    pin: Option<FilePrint>,
    /// A sentence.
    reason: String,
}

/// A session that is open, and the private keys that were found.
struct OpenSession {
    slot: Slot,
    session: Session,
    keys: HashMap<TokenObject, ObjectHandle>,
}

impl TokenSession {
    /// Opens nothing.
    pub(super) fn new(address: TokenAddress) -> TokenSession {
        TokenSession {
            address,
            module: None,
            open: None,
            refused_pin: None,
            failed: None,
        }
    }

    /// Signs a message. If the token has lost the session, another one is opened.
    ///
    /// # Errors
    /// A sentence: what the token lacks, or says.
    pub(super) fn sign(
        &mut self,
        object: &TokenObject,
        algorithm: SigningAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, String> {
        self.retried(|open| open.sign(object, algorithm, message))
    }

    /// Makes a key pair, and returns the Public Key field of its DNSKEY record.
    ///
    /// # Errors
    /// A sentence: what the token lacks, or says.
    pub(super) fn generate(
        &mut self,
        algorithm: SigningAlgorithm,
        object: &TokenObject,
    ) -> Result<Vec<u8>, String> {
        let slot = self.connected()?.slot;
        let module = self.module()?;
        // Only a session that may write makes keys; it shares the login of the other one.
        let session = module
            .open_rw_session(slot)
            .map_err(|error| told("a session that writes cannot be opened", &error))?;
        let request = KeyRequest::new(algorithm, object)?;
        request.make(&session)
    }

    /// The public half of a key that is in the token.
    ///
    /// # Errors
    /// A sentence: what the token lacks, or says.
    pub(super) fn public_half(
        &mut self,
        object: &TokenObject,
    ) -> Result<(SigningAlgorithm, Vec<u8>), String> {
        self.retried(|open| {
            let class = ObjectClass::PUBLIC_KEY;
            let key = objects::find(&open.session, class, object)?;
            objects::public_half(&open.session, key)
        })
    }

    /// Does something with the session, and once more with a new one if an old one fails.
    fn retried<T>(
        &mut self,
        work: impl Fn(&mut OpenSession) -> Result<T, String>,
    ) -> Result<T, String> {
        let was_open = self.open.is_some();
        let mut result = work(self.connected()?);
        if result.is_err() && was_open {
            self.open = None;
            result = work(self.connected()?);
        }
        if result.is_err() {
            self.open = None;
        }
        result
    }

    /// The session, which is opened if there is none.
    fn connected(&mut self) -> Result<&mut OpenSession, String> {
        let open = match self.open.take() {
            Some(open) => open,
            None => self.connect()?,
        };
        Ok(self.open.insert(open))
    }

    fn connect(&mut self) -> Result<OpenSession, String> {
        let pin = self.address.pin_file.as_deref().and_then(FilePrint::of);
        if let Some(failed) = &self.failed
            && failed.at.elapsed() < PAUSE
            && failed.pin == pin
        {
            return Err(failed.reason.clone());
        }
        let opened = self.open();
        self.failed = opened.as_ref().err().map(|reason| FailedConnect {
            at: Instant::now(),
            pin,
            reason: reason.clone(),
        });
        opened
    }

    fn open(&mut self) -> Result<OpenSession, String> {
        let module = self.module()?;
        let (slot, token) = self.token_of(&module)?;
        let session = module
            .open_ro_session(slot)
            .map_err(|error| told("a session cannot be opened", &error))?;
        self.log_in(&session, &token)?;
        Ok(OpenSession {
            slot,
            session,
            keys: HashMap::new(),
        })
    }

    /// The module, which is loaded the first time.
    fn module(&mut self) -> Result<Pkcs11, String> {
        if let Some(module) = &self.module {
            return Ok(module.clone());
        }
        let path = self.address.module.display();
        let loaded = Pkcs11::new(&self.address.module)
            .map_err(|error| told(&format!("the module {path} cannot be loaded"), &error))?;
        let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
        match loaded.initialize(arguments) {
            // Another token of the same module was first.
            Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(error) => return Err(told(&format!("the module {path} does not start"), &error)),
        }
        Ok(self.module.insert(loaded).clone())
    }

    /// The one token that is meant.
    fn token_of(&self, module: &Pkcs11) -> Result<(Slot, TokenInfo), String> {
        let mut found = Vec::new();
        let mut labels = Vec::new();
        let slots = module
            .get_slots_with_token()
            .map_err(|error| told("the tokens cannot be listed", &error))?;
        for slot in slots {
            // A token that was taken out meanwhile.
            let Ok(token) = module.get_token_info(slot) else {
                continue;
            };
            if is_meant(&self.address.selector, slot, &token) {
                found.push((slot, token));
            } else if token.token_initialized() {
                labels.push(format!("\"{}\"", token.label().trim_end()));
            }
        }
        let others = if labels.is_empty() {
            "the module has no other".to_owned()
        } else {
            format!("the module has {}", labels.join(", "))
        };
        match found.len() {
            0 => Err(format!("there is no such token; {others}")),
            1 => found.pop().ok_or_else(String::new),
            count => Err(format!(
                "{count} tokens are called so; add serial= to the URI"
            )),
        }
    }

    fn log_in(&mut self, session: &Session, token: &TokenInfo) -> Result<(), String> {
        let Some(path) = &self.address.pin_file else {
            if token.login_required() {
                return Err(
                    "the token wants a PIN; state token_pin_file in [zones.dnssec], or pin-source \
                     in the URI"
                        .to_owned(),
                );
            }
            return Ok(());
        };
        let file = path.display();
        let (octets, read) = files::read_secret(path, FileKind::Secret)
            .map_err(|error| format!("the PIN file {file} {error}"))?;
        if self.refused_pin.as_ref() == Some(&read.print) {
            return Err(refused(&file.to_string()));
        }
        let text =
            std::str::from_utf8(&octets).map_err(|_| format!("the PIN file {file} is no text"))?;
        let pin = AuthPin::new(text.trim_end_matches(['\r', '\n']).into());
        match session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
            Err(Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinInvalid | RvError::PinLenRange,
                _,
            )) => {
                self.refused_pin = Some(read.print);
                Err(refused(&file.to_string()))
            }
            Err(Error::Pkcs11(RvError::PinLocked, _)) => Err(
                "the token has locked itself after too many wrong PINs; unlock it with its own tools"
                    .to_owned(),
            ),
            Err(error) => Err(told("the login failed", &error)),
        }
    }
}

#[cold]
fn refused(file: &str) -> String {
    format!(
        "the PIN in {file} was refused; correct the file. It is not tried again before the file \
         changes, because tokens lock themselves"
    )
}

/// What the module says, behind what was wanted: `... (C_Sign: DeviceRemoved)`.
pub(super) fn told(what: &str, error: &Error) -> String {
    match error {
        Error::Pkcs11(code, function) => format!("{what} (C_{function:?}: {code:?})"),
        Error::LibraryLoading(reason) => format!("{what}: {reason}"),
        other => format!("{what}: {other}"),
    }
}

/// Whether a token is the one that is meant. Tokens fill their texts up with blanks.
fn is_meant(selector: &TokenSelector, slot: Slot, token: &TokenInfo) -> bool {
    for (wanted, is) in [
        (&selector.token, token.label()),
        (&selector.manufacturer, token.manufacturer_id()),
        (&selector.model, token.model()),
        (&selector.serial, token.serial_number()),
    ] {
        if let Some(wanted) = wanted
            && wanted != is.trim_end()
        {
            return false;
        }
    }
    selector.slot.is_none_or(|wanted| wanted == slot.id())
}

impl OpenSession {
    fn sign(
        &mut self,
        object: &TokenObject,
        algorithm: SigningAlgorithm,
        message: &[u8],
    ) -> Result<Vec<u8>, String> {
        let key = match self.keys.get(object) {
            Some(key) => *key,
            None => {
                let key = objects::find(&self.session, ObjectClass::PRIVATE_KEY, object)?;
                self.keys.insert(object.clone(), key);
                key
            }
        };
        let hashed;
        let (mechanism, data) = match algorithm {
            SigningAlgorithm::RsaSha256 => (Mechanism::Sha256RsaPkcs, message),
            SigningAlgorithm::EcdsaP256Sha256 => {
                hashed = digest(&SHA256, message);
                (Mechanism::Ecdsa, hashed.as_ref())
            }
            SigningAlgorithm::EcdsaP384Sha384 => {
                hashed = digest(&SHA384, message);
                (Mechanism::Ecdsa, hashed.as_ref())
            }
            SigningAlgorithm::Ed25519 => {
                let scheme = EddsaParams::new(EddsaSignatureScheme::Pure);
                (Mechanism::Eddsa(scheme), message)
            }
        };
        self.session
            .sign(&mechanism, key, data)
            .map_err(|error| told("the token does not sign", &error))
    }
}
