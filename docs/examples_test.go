package docs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"polarcast/testenv"
)

// composeFile is what the tests read of docker-compose.yml.
type composeFile struct {
	Services map[string]service `yaml:"services"`
}

type service struct {
	Build       string            `yaml:"build"`
	Profiles    []string          `yaml:"profiles"`
	Command     []string          `yaml:"command"`
	Environment map[string]string `yaml:"environment"`
}

func readCompose(t *testing.T) composeFile {
	t.Helper()
	b, err := os.ReadFile("../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var f composeFile
	if err := yaml.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

// The services of docker-compose.yml make a standby, with their commands and environment, over three NATS servers.
func TestComposeMakesAStandby(t *testing.T) {
	pg := testenv.Start(t, 15, testenv.Options{Checksums: true})
	pg.LoadTPCB(1, 5000)
	nodes := testenv.StartNATSCluster(t, 3, testenv.NATSOptions{})
	dir := testenv.Dir(t)
	bin := testenv.Binary(t, "polarcast")
	var stages []*testenv.Process
	for name, s := range readCompose(t).Services {
		if s.Build == "" || name == "status" {
			continue
		}
		env := []string{"PGSSLMODE=disable", fmt.Sprintf("PGPORT=%d", pg.Port), "HOME=" + dir}
		for k, v := range s.Environment {
			switch k {
			case "NATS_URL":
				v = testenv.URLs(nodes)
			case "PGHOST":
				v = pg.Host()
			case "POLARCAST_BACKUP":
				v = "first"
			}
			env = append(env, k+"="+v)
		}
		var args []string
		for _, a := range s.Command {
			args = append(args, strings.Replace(a, "/target", dir, 1))
		}
		stages = append(stages, testenv.StartProcess(t, testenv.ProcessOptions{Env: env}, bin, args...))
	}
	if len(stages) != 5 {
		t.Errorf("%d stages are services of their own, want 5", len(stages))
	}
	for _, p := range stages {
		if code := p.Wait(commandEnd); code != 0 {
			t.Fatalf("%s ended with %d:\n%s", p.Command, code, p.Stderr())
		}
	}
	standby := testenv.StartCopy(t, 15, filepath.Join(dir, "standby"), testenv.Standby, testenv.CopyOptions{})
	standby.CaughtUp(pg)
	testenv.SameData(t, standby.TableChecksums("postgres"), pg.TableChecksums("postgres"))
}

// The script lets roles replicate that the images of PostgreSQL and PolarDB keep out, and does so once.
func TestComposeLetsRolesReplicate(t *testing.T) {
	pg := testenv.Start(t, 15, testenv.Options{})
	script, err := os.ReadFile("../examples/compose/replication.sh")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		env := []string{"PGHOST=" + pg.Host(), fmt.Sprintf("PGPORT=%d", pg.Port), "PATH=" + os.Getenv("PATH")}
		p := testenv.Run(t, testenv.ProcessOptions{Env: env}, "bash", "-c", string(script))
		if p.ExitCode() != 0 {
			t.Fatal(p.Stderr())
		}
	}
	hba, err := os.ReadFile(pg.Path("pg_hba.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(hba), "host replication all all scram-sha-256\n"); got != 1 {
		t.Errorf("pg_hba.conf has %d lines for replication, want one:\n%s", got, hba)
	}
	pg.Eventually("pg_hba.conf is read without error", func() (bool, error) {
		n, err := pg.TryValue("postgres", "SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL")
		return n == "0", err
	})
}

// Every command takes the configuration file of the examples.
func TestConfigurationFileIsTaken(t *testing.T) {
	bin := testenv.Binary(t, "polarcast")
	dir := testenv.Dir(t)
	file := filepath.Join(dir, "polarcast.yaml")
	b, err := os.ReadFile("../examples/polarcast.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, b, 0o644); err != nil {
		t.Fatal(err)
	}
	const nobody = "127.0.0.1:1"
	for _, args := range [][]string{
		{"send", "--backup", "x"}, {"receive", "--backup", "x", "--target", "a", "-D", dir + "/d"}, {"status"}, {"list"}, {"stage", "wal", "--backup", "x"},
	} {
		p := testenv.Run(t, testenv.ProcessOptions{Env: []string{"HOME=" + dir}}, bin, append(args, "--config", file, "--nats", nobody)...)
		if p.ExitCode() != 1 || !strings.Contains(p.Stderr(), "no NATS server answers at nats://"+nobody) {
			t.Errorf("%q does not get as far as NATS:\n%s", args, p.Stderr())
		}
	}
}

// The units start commands that there are.
func TestUnitsStartWhatThereIs(t *testing.T) {
	units, err := filepath.Glob("../examples/systemd/*.service")
	if err != nil || len(units) == 0 {
		t.Fatalf("no units were found: %v", err)
	}
	for _, unit := range units {
		b, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(b), "\n") {
			if command, ok := strings.CutPrefix(line, "ExecStart=/usr/local/bin/"); ok {
				parses(t, unit, i+1, strings.Fields(command))
			}
		}
	}
}
