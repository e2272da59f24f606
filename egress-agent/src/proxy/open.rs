//! TLS that is opened: with the client in the name of the host, by the local CA, and with the host
//! itself as any client would.
//!
//! The client is answered before the host is asked, so that what is wrong with the host's TLS can
//! be said in HTTP. What the client speaks does not depend on what the host speaks: a request is
//! read and written anew anyway.

use std::{io, net::SocketAddr, path::Path, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use egress_common::Reason;
use rustls::{
    CertificateError, ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring::default_provider},
    pki_types::{CertificateDer, ServerName},
    server::Acceptor,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout_at,
};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, client, server};

use super::{
    ca::{Authority, CaError},
    conversation, door,
    exchange::Via,
    flow::{Denial, Flow},
    gate::Way,
    h2,
    prefixed::Prefixed,
};

const HTTP_1: &[u8] = b"http/1.1";
const HTTP_2: &[u8] = b"h2";

/// What TLS is opened with: the local CA for clients, and the certificates of the system for hosts.
#[derive(Debug)]
pub struct Opener {
    server: Arc<ServerConfig>,
    /// Towards a host that must speak HTTP/1, which a WebSocket needs.
    http1: Arc<ClientConfig>,
    /// Towards one that may choose.
    any: Arc<ClientConfig>,
    bundle: String,
}

impl Opener {
    /// Reads the authority in this directory, and what the system trusts. The variables
    /// `SSL_CERT_FILE` and `SSL_CERT_DIR` of the daemon say where that stands, if not at the usual
    /// place.
    pub fn load(directory: &Path) -> Result<Self, CaError> {
        let authority = Authority::load(directory)?;
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::warn!(%error, "some certificates of the system cannot be read");
        }
        Self::new(authority, &found.certs)
    }

    fn new(authority: Authority, system: &[CertificateDer<'static>]) -> Result<Self, CaError> {
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(system.iter().cloned());
        if added == 0 {
            return Err(CaError::NoRoots(format!("{ignored} that cannot be read")));
        }
        let mut bundle = String::new();
        for certificate in system {
            push_pem(certificate, &mut bundle);
        }
        bundle.push_str(authority.pem());
        let provider = Arc::new(default_provider());
        let towards_host = |protocols: &[&[u8]]| -> Result<Arc<ClientConfig>, CaError> {
            let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
                .with_safe_default_protocol_versions()?
                .with_root_certificates(roots.clone())
                .with_no_client_auth();
            config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
            Ok(Arc::new(config))
        };
        let http1 = towards_host(&[HTTP_1])?;
        let any = towards_host(&[HTTP_2, HTTP_1])?;
        Ok(Self {
            server: Arc::new(towards_client(&provider, authority)?),
            http1,
            any,
            bundle,
        })
    }

    /// Certificates in PEM for a session: those of the system, and the local CA's.
    pub fn bundle(&self) -> &str {
        &self.bundle
    }

    /// Begins TLS with a host, which must have a certificate for this name.
    pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        name: &str,
        is_http2_welcome: bool,
        stream: S,
    ) -> Result<client::TlsStream<S>, Denial> {
        let config = if is_http2_welcome {
            &self.any
        } else {
            &self.http1
        };
        let server = ServerName::try_from(name.to_owned()).map_err(|error| {
            Denial::with(
                Reason::TlsFailed,
                format!("{name} is no name for TLS: {error}"),
            )
        })?;
        TlsConnector::from(Arc::clone(config))
            .connect(server, stream)
            .await
            .map_err(|error| Denial::with(Reason::TlsFailed, host_failed(name, &error)))
    }
}

fn towards_client(
    provider: &Arc<CryptoProvider>,
    authority: Authority,
) -> Result<ServerConfig, CaError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(authority));
    config.alpn_protocols = vec![HTTP_2.to_vec(), HTTP_1.to_vec()];
    Ok(config)
}

/// Whether HTTP/2 was agreed on.
pub(super) fn is_http2(protocol: Option<&[u8]>) -> bool {
    protocol == Some(HTTP_2)
}

/// Opens the TLS of a client that may ask for this host, and serves what is inside. `bytes` were
/// read already: the `ClientHello`, and perhaps more.
pub(super) async fn open(
    mut flow: Flow<'_>,
    destination: SocketAddr,
    stream: TcpStream,
    bytes: Vec<u8>,
    way: Way,
) {
    let Some(opener) = flow.gate().opener() else {
        let message = "the policy opens TLS, and egressd has no local CA for it; make one with `egressctl ca init`, and reload";
        let denial = Denial::with(Reason::NotConfigured, message);
        flow.denied(&denial);
        return door::refuse_tls(stream, &bytes, &denial).await;
    };
    let name = way.name.as_str().to_owned();
    let accepted = timeout_at(
        flow.begun + door::OPENING,
        accept(&opener, &name, Prefixed::new(bytes, stream)),
    )
    .await;
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            let message = client_failed(&name, &error);
            return flow.denied(&Denial::with(Reason::TlsFailed, message));
        }
        Err(_elapsed) => {
            let message = format!("the client did not finish its TLS handshake for {name}");
            return flow.denied(&Denial::with(Reason::TooSlow, message));
        }
    };
    flow.host = Some(name.clone());
    let is_http2 = is_http2(stream.get_ref().1.alpn_protocol());
    let via = Via::Opened {
        destination,
        name,
        opener,
        is_http2,
    };
    if is_http2 {
        h2::hold(flow, stream, via).await;
    } else {
        // Boxed: its memory need not be there during the handshake.
        Box::pin(conversation::hold(flow, stream, Vec::new(), via)).await;
    }
}

async fn accept(
    opener: &Opener,
    name: &str,
    stream: Prefixed<TcpStream>,
) -> io::Result<server::TlsStream<Prefixed<TcpStream>>> {
    let begun = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    // Two readers of one hello must have read one name.
    let read = begun.client_hello().server_name().map(str::to_owned);
    if !read.is_some_and(|read| read.eq_ignore_ascii_case(name)) {
        return Err(io::Error::other("its name can be read in two ways"));
    }
    begun.into_stream(Arc::clone(&opener.server)).await
}

/// Why a client did not come to an end with the handshake, for people.
fn client_failed(name: &str, error: &io::Error) -> String {
    use rustls::{AlertDescription as Alert, Error};
    let help = "start it with `egressctl run`, give it the local CA by its own settings, or name the host in `proxy.exempt`";
    match of_rustls(error) {
        Some(Error::AlertReceived(
            Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked,
        )) => format!("the client does not trust the local CA for {name}; {help}"),
        Some(Error::NoApplicationProtocol) => {
            format!(
                "the client speaks neither HTTP/1.1 nor HTTP/2 to {name}; name the host in `proxy.exempt`"
            )
        }
        Some(error) => format!("TLS with the client failed for {name}: {error}"),
        // Some clients leave without an alert when they do not trust a certificate.
        None if error.kind() == io::ErrorKind::UnexpectedEof
            || error.kind() == io::ErrorKind::ConnectionReset =>
        {
            format!(
                "the client left during the TLS handshake for {name}, which is what one does that does not trust the local CA; {help}"
            )
        }
        None => format!("TLS with the client failed for {name}: {error}"),
    }
}

/// Why TLS with a host failed, for people.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the library adds kinds, and its own words do for them"
)]
fn host_failed(name: &str, error: &io::Error) -> String {
    use rustls::Error;
    let what = match of_rustls(error) {
        Some(Error::InvalidCertificate(invalid)) => match invalid {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "its certificate has expired"
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "its certificate is not valid yet"
            }
            CertificateError::Revoked => "its certificate was revoked",
            // An issuer that is trusted has the same name, and did not sign it.
            CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                "its certificate is from an issuer that this system does not trust"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "its certificate is for other names"
            }
            other => return format!("{name}: its certificate is not valid: {other}"),
        },
        Some(Error::AlertReceived(alert)) => {
            return format!(
                "{name} refused TLS with the alert {alert:?}; one that asks for a client's certificate must be in `proxy.exempt`"
            );
        }
        Some(other) => return format!("{name}: {other}"),
        None => return format!("{name} ended TLS: {error}"),
    };
    format!("{name}: {what}")
}

fn of_rustls(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn push_pem(certificate: &CertificateDer<'_>, text: &mut String) {
    const LINE: usize = 64;
    text.push_str("-----BEGIN CERTIFICATE-----\n");
    let coded = STANDARD.encode(certificate);
    let mut rest = coded.as_str();
    while let Some((line, more)) = rest.split_at_checked(LINE) {
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    if !rest.is_empty() {
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use rcgen::{CertificateParams, Issuer, KeyPair};
    use rustls::pki_types::PrivateKeyDer;
    use tokio::io::duplex;
    use tokio_rustls::TlsAcceptor;

    use super::*;
    use crate::proxy::ca;

    const DAY: Duration = Duration::from_hours(24);

    /// An authority that hosts have certificates of.
    struct Internet {
        issuer: Issuer<'static, KeyPair>,
        root: CertificateDer<'static>,
    }

    impl Internet {
        fn new() -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(Vec::new()).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            let root = params.self_signed(&key).unwrap().der().clone();
            let issuer = Issuer::new(params, key);
            Self { issuer, root }
        }

        fn opener(&self) -> Opener {
            let home = tempfile::tempdir().unwrap();
            let directory = home.path().join("ca");
            ca::init(&directory, false).unwrap();
            let authority = Authority::load(&directory).unwrap();
            Opener::new(authority, std::slice::from_ref(&self.root)).unwrap()
        }

        /// What is said of a host for `one.example` that has this certificate.
        async fn tried(&self, opener: &Opener, params: CertificateParams) -> String {
            let key = KeyPair::generate().unwrap();
            let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
            let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
            let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate], private)
                .unwrap();
            let (near, far) = duplex(64 << 10);
            let acceptor = TlsAcceptor::from(Arc::new(config));
            let (connected, _accepted) = tokio::join!(
                opener.connect("one.example", true, near),
                acceptor.accept(far)
            );
            match connected {
                Ok(_stream) => "it is trusted".to_owned(),
                Err(denial) => {
                    assert_eq!(denial.reason, Reason::TlsFailed);
                    denial.message.unwrap()
                }
            }
        }
    }

    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = (SystemTime::now() - DAY).into();
        params.not_after = (SystemTime::now() + DAY).into();
        params
    }

    #[tokio::test]
    async fn what_is_wrong_with_a_host_is_named() {
        let (known, unknown) = (Internet::new(), Internet::new());
        let opener = known.opener();
        let good = known.tried(&opener, params("one.example")).await;
        assert_eq!(good, "it is trusted");
        let foreign = unknown.tried(&opener, params("one.example")).await;
        assert!(foreign.contains("does not trust"), "{foreign}");
        let other = known.tried(&opener, params("two.example")).await;
        assert!(other.contains("is for other names"), "{other}");
        let mut over = params("one.example");
        over.not_before = (SystemTime::now() - 3 * DAY).into();
        over.not_after = (SystemTime::now() - DAY).into();
        let over = known.tried(&opener, over).await;
        assert!(over.contains("has expired"), "{over}");
        let mut early = params("one.example");
        early.not_before = (SystemTime::now() + DAY).into();
        early.not_after = (SystemTime::now() + 2 * DAY).into();
        let early = known.tried(&opener, early).await;
        assert!(early.contains("is not valid yet"), "{early}");
    }

    #[test]
    fn the_bundle_has_the_system_and_the_local_ca() {
        let internet = Internet::new();
        let opener = internet.opener();
        let read: Vec<CertificateDer<'static>> = {
            use rustls::pki_types::pem::PemObject as _;
            CertificateDer::pem_slice_iter(opener.bundle().as_bytes())
                .collect::<Result<_, _>>()
                .unwrap()
        };
        assert_eq!(read.len(), 2);
        assert_eq!(read.first(), Some(&internet.root));
    }
}
