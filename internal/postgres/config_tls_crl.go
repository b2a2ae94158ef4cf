package postgres

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// revocations loads the certificate revocation lists of sslcrl and sslcrldir, by default ~/.postgresql/root.crl.
func (c *Config) revocations() ([]*x509.RevocationList, error) {
	var files []string
	switch file, dir := c.set["sslcrl"], c.set["sslcrldir"]; {
	case file == "" && dir == "":
		if f := userFile("root.crl"); f != "" {
			files = append(files, f)
		}
	default:
		if file != "" {
			files = append(files, file)
		}
		if dir != "" {
			found, err := filepath.Glob(filepath.Join(dir, "*"))
			if err != nil {
				return nil, fmt.Errorf("could not read certificate revocation lists in %q: %w", dir, err)
			}
			files = append(files, found...)
		}
	}
	var out []*x509.RevocationList
	for _, f := range files {
		text, err := os.ReadFile(f)
		if errors.Is(err, fs.ErrNotExist) {
			continue // as libpq
		}
		if err != nil {
			return nil, fmt.Errorf("could not read certificate revocation list %q: %w", f, err)
		}
		for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
			list, err := x509.ParseRevocationList(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("could not read certificate revocation list %q: %w", f, err)
			}
			out = append(out, list)
		}
	}
	return out, nil
}

// checkRevoked accepts when one chain has no revoked certificate, and a list for each of its authorities (X509_V_FLAG_CRL_CHECK_ALL).
func checkRevoked(chains [][]*x509.Certificate, crls []*x509.RevocationList) error {
	var err error
	for _, chain := range chains {
		if err = chainRevoked(chain, crls); err == nil {
			return nil
		}
	}
	return err
}

func chainRevoked(chain []*x509.Certificate, crls []*x509.RevocationList) error {
	for i := 0; i+1 < len(chain); i++ {
		cert, issuer := chain[i], chain[i+1]
		found := false
		for _, crl := range crls {
			if crl.CheckSignatureFrom(issuer) != nil {
				continue
			}
			found = true
			for _, e := range crl.RevokedCertificateEntries {
				if e.SerialNumber.Cmp(cert.SerialNumber) == 0 {
					return fmt.Errorf("certificate verify failed: certificate %q was revoked", cert.Subject)
				}
			}
		}
		if !found {
			return fmt.Errorf("certificate verify failed: no certificate revocation list of %q", issuer.Subject)
		}
	}
	return nil
}

// nameFits matches a host name with the name in a certificate, which may begin with "*." for exactly one label (wildcard_certificate_match).
func nameFits(pattern, host string) bool {
	if strings.EqualFold(pattern, host) {
		return true
	}
	suffix, ok := strings.CutPrefix(pattern, "*")
	if !ok || !strings.HasPrefix(suffix, ".") || len(suffix) < 2 || len(host) <= len(suffix) {
		return false
	}
	label := host[:len(host)-len(suffix)]
	return strings.EqualFold(host[len(label):], suffix) && !strings.Contains(label, ".")
}
