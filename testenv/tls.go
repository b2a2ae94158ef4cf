package testenv

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

// EnableTLS gives the server a certificate for localhost and 127.0.0.1 that signs itself, restarts it, and returns the certificate's path, for
// sslrootcert. Connections without TLS are still taken unless pg_hba.conf says otherwise.
func (s *Server) EnableTLS() string {
	s.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		s.t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		s.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{"server.crt": {Type: "CERTIFICATE", Bytes: der}, "server.key": {Type: "PRIVATE KEY", Bytes: keyDER}} {
		if err := os.WriteFile(s.Path(name), pem.EncodeToMemory(block), 0o600); err != nil {
			s.t.Fatal(err)
		}
		Own(s.t, s.Path(name))
	}
	s.AppendConf("ssl = on")
	s.Restart(Fast)
	// Outside of the data directory, which a program under test may not be able to enter.
	copied := s.NewDir("tls") + "/root.crt"
	if err := os.WriteFile(copied, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		s.t.Fatal(err)
	}
	return copied
}
