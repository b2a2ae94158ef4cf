package cli

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// natsHome makes a home directory with contexts; files are name and content.
func natsHome(t *testing.T, files map[string]string) string {
	t.Helper()
	home := t.TempDir()
	for name, text := range files {
		path := filepath.Join(home, ".config", "nats", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return home
}

func lookupIn(env map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) { v, ok := env[name]; return v, ok }
}

func TestResolve(t *testing.T) {
	home := natsHome(t, map[string]string{
		"context.txt":        "prod\n",
		"context/prod.json":  `{"description":"x","url":"nats://p1:1,nats://p2","creds":"~/p.creds","ca":"/ca","cert":"~/c","key":"~/k","unknown":3}`,
		"context/other.json": `{"url":"o","user":"u","password":"p"}`,
	})
	prod := NATSFlags{URLs: []string{"nats://p1:1", "nats://p2"}, Creds: home + "/p.creds", TLSCA: "/ca", TLSCert: home + "/c", TLSKey: home + "/k"}
	for _, c := range []struct {
		name        string
		in          NATSFlags
		environment bool
		env         map[string]string
		want        NATSFlags
	}{
		{"nothing", NATSFlags{}, true, map[string]string{"HOME": "/nowhere"}, NATSFlags{}},
		{"no home", NATSFlags{}, true, nil, NATSFlags{}},
		{"embedded by default", NATSFlags{}, false, map[string]string{"HOME": home, "NATS_URL": "x"}, NATSFlags{}},
		{"selected", NATSFlags{}, true, map[string]string{"HOME": home}, prod},
		{"XDG", NATSFlags{}, true, map[string]string{"HOME": home, "XDG_CONFIG_HOME": filepath.Join(home, ".config")}, prod},
		{"NATS_CONTEXT", NATSFlags{}, true, map[string]string{"HOME": home, "NATS_CONTEXT": "other"},
			NATSFlags{URLs: []string{"nats://o"}, User: "u", Password: "p"}},
		{"NATS_URL takes no context", NATSFlags{}, true, map[string]string{"HOME": home, "NATS_URL": "n1,n2:3", "NATS_TOKEN": "t"},
			NATSFlags{URLs: []string{"nats://n1", "nats://n2:3"}, Token: "t"}},
		{"--nats takes no context", NATSFlags{URLs: []string{"f"}}, true, map[string]string{"HOME": home, "NATS_URL": "x", "NATS_CREDS": "c"},
			NATSFlags{URLs: []string{"nats://f"}, Creds: "c"}},
		{"--nats-context takes no environment", NATSFlags{Context: "other"}, true, map[string]string{"HOME": home, "NATS_URL": "x", "NATS_CA": "y"},
			NATSFlags{Context: "other", URLs: []string{"nats://o"}, User: "u", Password: "p"}},
		{"--nats-context alone", NATSFlags{Context: "other"}, false, map[string]string{"HOME": home},
			NATSFlags{Context: "other", URLs: []string{"nats://o"}, User: "u", Password: "p"}},
		{"flags over context", NATSFlags{Context: "other", URLs: []string{"f"}, Creds: "c", TLSCA: "a"}, true, map[string]string{"HOME": home},
			NATSFlags{Context: "other", URLs: []string{"nats://f"}, Creds: "c", TLSCA: "a"}},
		{"password over context", NATSFlags{Context: "other", Password: "q"}, true, map[string]string{"HOME": home},
			NATSFlags{Context: "other", URLs: []string{"nats://o"}, User: "u", Password: "q"}},
		{"password of the same user", NATSFlags{Context: "other", User: "u"}, true, map[string]string{"HOME": home},
			NATSFlags{Context: "other", URLs: []string{"nats://o"}, User: "u", Password: "p"}},
		{"no password for another user", NATSFlags{Context: "other", User: "v"}, true, map[string]string{"HOME": home},
			NATSFlags{Context: "other", URLs: []string{"nats://o"}, User: "v"}},
	} {
		got, err := c.in.Resolve(c.environment, lookupIn(c.env))
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s:\n got %+v, %v\nwant %+v", c.name, got, err, c.want)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	home := natsHome(t, map[string]string{
		"context/bad.json": `{`, "context/empty.json": `{}`, "context/nsc.json": `{"url":"x","nsc":"nsc://a"}`,
		"context/domain.json": `{"url":"x","jetstream_domain":"hub"}`, "context/prefix.json": `{"url":"x","jetstream_api_prefix":"p"}`,
		"context/socks.json": `{"url":"x","socks_proxy":"p"}`, "context/jwt.json": `{"url":"x","user_jwt":"p"}`, "context/first.json": `{"url":"x","tls_first":true}`,
	})
	for _, c := range []struct {
		in   NATSFlags
		want string
	}{
		{NATSFlags{Context: "gone"}, `there is no nats context "gone": file "` + home},
		{NATSFlags{Context: "../x"}, "a name has no slashes"},
		{NATSFlags{Context: ".."}, "a name has no slashes"},
		{NATSFlags{Context: "bad"}, "could not read the nats context in"},
		{NATSFlags{Context: "empty"}, `the nats context "empty" has no url`},
		{NATSFlags{Context: "nsc"}, `sets "nsc", which this program does not support`},
		{NATSFlags{Context: "domain"}, `sets "jetstream_domain"`},
		{NATSFlags{Context: "prefix"}, `sets "jetstream_api_prefix"`},
		{NATSFlags{Context: "socks"}, `sets "socks_proxy"`},
		{NATSFlags{Context: "jwt"}, `sets "user_jwt"`},
		{NATSFlags{Context: "first"}, `sets "tls_first"`},
		{NATSFlags{URLs: []string{"http://secret@x"}}, `unknown scheme "http"`},
		{NATSFlags{URLs: []string{"x"}, TLSCert: "c"}, "--tls-cert and --tls-key must be specified together"},
		{NATSFlags{URLs: []string{"x"}, Password: "c"}, "--nats-password needs a user"},
	} {
		_, err := c.in.Resolve(true, lookupIn(map[string]string{"HOME": home}))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%+v: %v, want %q", c.in, err, c.want)
		}
	}
}

func TestRegisterNATS(t *testing.T) {
	var n NATSFlags
	fs := pflag.NewFlagSet("x", pflag.ContinueOnError)
	n.Register(fs)
	if err := fs.Parse([]string{"--nats=a,b", "--nats", "c", "--creds=1", "--nats-user=2", "--nats-password=3", "--nats-token=4", "--nkey=5",
		"--tls-ca=6", "--tls-cert=7", "--tls-key=8", "--nats-context=9"}); err != nil {
		t.Fatal(err)
	}
	want := NATSFlags{URLs: []string{"a", "b", "c"}, Creds: "1", User: "2", Password: "3", Token: "4", NKey: "5", TLSCA: "6", TLSCert: "7", TLSKey: "8", Context: "9"}
	if !reflect.DeepEqual(n, want) {
		t.Errorf("got %+v", n)
	}
}
