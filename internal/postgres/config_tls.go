package postgres

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
)

// tlsVersions are the values of ssl_min_protocol_version and ssl_max_protocol_version. Go speaks 1.0 and 1.1 only when asked for.
var tlsVersions = map[string]uint16{"TLSv1": tls.VersionTLS10, "TLSv1.1": tls.VersionTLS11, "TLSv1.2": tls.VersionTLS12, "TLSv1.3": tls.VersionTLS13}

// tlsConfig makes the TLS settings for a host as fe-secure-openssl.c does. host is the name to verify.
func (c *Config) tlsConfig(host string) (*tls.Config, error) {
	t := &tls.Config{InsecureSkipVerify: true} // libpq's own rules are in verifyServer
	for name, into := range map[string]*uint16{"ssl_min_protocol_version": &t.MinVersion, "ssl_max_protocol_version": &t.MaxVersion} {
		if v := c.set[name]; v != "" {
			if *into = tlsVersions[v]; *into == 0 {
				return nil, fmt.Errorf("invalid %s value: %q", name, v)
			}
		}
	}
	if t.MaxVersion != 0 && t.MinVersion > t.MaxVersion {
		return nil, errors.New("invalid SSL protocol version range")
	}
	if c.set["sslsni"] != "0" && net.ParseIP(host) == nil {
		t.ServerName = host
	}
	if c.set["sslnegotiation"] == "direct" {
		t.NextProtos = []string{"postgresql"}
	}
	if err := c.clientCertificate(t); err != nil {
		return nil, err
	}
	return t, c.verifyServer(t, host)
}

// userFile is a file in ~/.postgresql, "" when it does not exist.
func userFile(name string) string {
	home, err := os.UserHomeDir()
	if err != nil {
		return ""
	}
	path := filepath.Join(home, ".postgresql", name)
	if _, err := os.Stat(path); err != nil {
		return ""
	}
	return path
}

// verifyServer sets up the checks of the server's certificate: none without a root certificate in modes up to require; the chain with one; with verify-full also
// the name.
func (c *Config) verifyServer(t *tls.Config, host string) error {
	mode, root := c.set["sslmode"], c.set["sslrootcert"]
	explicit := root != ""
	if !explicit {
		root = userFile("root.crt")
	}
	strict := mode == "verify-ca" || mode == "verify-full"
	var pool *x509.CertPool
	switch {
	case root == "system":
		var err error
		if pool, err = x509.SystemCertPool(); err != nil {
			return fmt.Errorf("could not load system root certificate paths: %w", err)
		}
	case root != "":
		text, err := os.ReadFile(root)
		if errors.Is(err, fs.ErrNotExist) && !strict {
			return nil
		}
		if errors.Is(err, fs.ErrNotExist) {
			return noRootCertificate(root)
		}
		if err != nil {
			return fmt.Errorf("could not read root certificate file %q: %w", root, err)
		}
		pool = x509.NewCertPool()
		if !pool.AppendCertsFromPEM(text) {
			return fmt.Errorf("could not read root certificate file %q: no certificate in it", root)
		}
	case strict:
		return noRootCertificate("~/.postgresql/root.crt")
	default:
		return nil
	}
	crls, err := c.revocations()
	if err != nil {
		return err
	}
	t.VerifyConnection = func(state tls.ConnectionState) error {
		return verifyChain(state.PeerCertificates, pool, crls, mode == "verify-full", host)
	}
	return nil
}

func noRootCertificate(path string) error {
	return &textError{fmt.Sprintf("root certificate file %q does not exist\nEither provide the file, use the system's trusted roots with "+
		"sslrootcert=system, or change sslmode to disable server certificate verification.", path), fs.ErrNotExist}
}

func verifyChain(certs []*x509.Certificate, pool *x509.CertPool, crls []*x509.RevocationList, full bool, host string) error {
	if len(certs) == 0 {
		return errors.New("certificate could not be obtained")
	}
	opts := x509.VerifyOptions{Roots: pool, Intermediates: x509.NewCertPool()}
	for _, cert := range certs[1:] {
		opts.Intermediates.AddCert(cert)
	}
	chains, err := certs[0].Verify(opts)
	if err != nil {
		return fmt.Errorf("certificate verify failed: %w", err)
	}
	if len(crls) > 0 {
		if err := checkRevoked(chains, crls); err != nil {
			return err
		}
	}
	if !full {
		return nil
	}
	if host == "" {
		return errors.New("host name must be specified for a verified SSL connection")
	}
	if err := certs[0].VerifyHostname(host); err == nil {
		return nil
	}
	// A certificate of old style has its name in the subject alone; libpq accepts that when there are no alternative names.
	cn := certs[0].Subject.CommonName
	if len(certs[0].DNSNames) == 0 && len(certs[0].IPAddresses) == 0 && cn != "" {
		if nameFits(cn, host) {
			return nil
		}
		return fmt.Errorf("server certificate for %q does not match host name %q", cn, host)
	}
	name := cn
	if len(certs[0].DNSNames) > 0 {
		name = certs[0].DNSNames[0]
	}
	return fmt.Errorf("server certificate for %q does not match host name %q", name, host)
}

// clientCertificate loads sslcert and sslkey, or those of ~/.postgresql.
func (c *Config) clientCertificate(t *tls.Config) error {
	if c.set["sslcertmode"] == "disable" {
		return nil
	}
	certFile, keyFile := c.set["sslcert"], c.set["sslkey"]
	if certFile == "" {
		if certFile = userFile("postgresql.crt"); certFile == "" {
			return nil
		}
	}
	cert, err := os.ReadFile(certFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // libpq goes on without one, and so the server decides
	}
	if err != nil {
		return fmt.Errorf("could not open certificate file %q: %w", certFile, err)
	}
	if keyFile == "" {
		if keyFile = userFile("postgresql.key"); keyFile == "" {
			return fmt.Errorf("certificate present, but not private key file \"~/.postgresql/postgresql.key\"")
		}
	}
	info, err := os.Stat(keyFile)
	if err != nil {
		return fmt.Errorf("certificate present, but not private key file %q", keyFile)
	}
	if err := checkKeyMode(keyFile, info); err != nil {
		return err
	}
	key, err := os.ReadFile(keyFile)
	if err != nil {
		return fmt.Errorf("could not load private key file %q: %w", keyFile, err)
	}
	if key, err = decryptKey(key, c.set["sslpassword"]); err != nil {
		return fmt.Errorf("could not load private key file %q: %w", keyFile, err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fmt.Errorf("certificate %q does not fit private key file %q: %w", certFile, keyFile, err)
	}
	// The callback sends it whatever authorities the server names, as OpenSSL does.
	t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	return nil
}

// checkKeyMode refuses a private key that others can read, as libpq does.
func checkKeyMode(path string, info fs.FileInfo) error {
	allowed := fs.FileMode(0o600)
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid == 0 {
		allowed = 0o640
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("private key file %q is not a regular file", path)
	}
	if info.Mode().Perm()&^(allowed|0o100) != 0 {
		return fmt.Errorf("private key file %q has group or world access; file must have permissions u=rw (0600) or less if owned by the current user, "+
			"or permissions u=rw,g=r (0640) or less if owned by root", path)
	}
	return nil
}

// decryptKey opens a private key that is protected in the old way of PEM ("Proc-Type: 4,ENCRYPTED").
func decryptKey(text []byte, password string) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("no PEM data in it")
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" {
		return nil, errors.New("keys in encrypted PKCS #8 form are not supported; write it with \"openssl rsa -aes256 -traditional\" or without a password")
	}
	//lint:ignore SA1019 libpq's sslpassword is this
	if !x509.IsEncryptedPEMBlock(block) {
		return text, nil
	}
	//lint:ignore SA1019 libpq's sslpassword is this
	der, err := x509.DecryptPEMBlock(block, []byte(password))
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
}
