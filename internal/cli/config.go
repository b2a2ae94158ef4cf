package cli

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"gopkg.in/yaml.v3"
)

// EnvPrefix begins the environment variables of flags: --max-lag is POLARCAST_MAX_LAG.
const EnvPrefix = "POLARCAST_"

// maxConfig bounds a configuration file, in bytes.
const maxConfig = 1 << 20

// Config gives flags their values from a configuration file and from the
// environment. A flag on the command line wins over the environment, and that over the file.
type Config struct {
	// File is the YAML file; empty for none. Every long flag has a key of the same name;
	// flags that may be repeated take a list.
	File string
	// Known says whether another command has a flag of that name, so that one file can serve
	// several commands. Without it, a key that the command does not know is an error.
	Known func(name string) bool
	// LookupEnv looks up an environment variable; nil means [os.LookupEnv].
	LookupEnv func(string) (string, bool)
}

// Register adds --config to a command. Its environment variable is POLARCAST_CONFIG.
func (c *Config) Register(fs *pflag.FlagSet) {
	fs.StringVar(&c.File, "config", "", "read options from the YAML `FILE`, where each long option is a key")
}

// Apply sets the flags of fs that the command line did not. Call it after fs has parsed.
// An empty variable counts as not set. Errors name the variable, or the file and its line.
func (c *Config) Apply(fs *pflag.FlagSet) error {
	lookup := c.LookupEnv
	if lookup == nil {
		lookup = os.LookupEnv
	}
	var first error
	fs.VisitAll(func(f *pflag.Flag) {
		name := EnvName(f.Name)
		value, ok := lookup(name)
		if f.Changed || !ok || value == "" || first != nil {
			return
		}
		if err := fs.Set(f.Name, value); err != nil {
			first = Errorf("environment variable %s: %s", name, reason(err))
		}
	})
	if first != nil || c.File == "" {
		return first
	}
	return c.applyFile(fs)
}

// EnvName is the environment variable of a flag.
func EnvName(flag string) string {
	return EnvPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func (c *Config) applyFile(fs *pflag.FlagSet) error {
	info, err := os.Stat(c.File)
	if err != nil {
		return fmt.Errorf("could not read the configuration file: %w", err)
	}
	if info.Size() > maxConfig {
		return Errorf("configuration file \"%s\" has %d bytes, the most is %d", c.File, info.Size(), maxConfig)
	}
	text, err := os.ReadFile(c.File)
	if err != nil {
		return fmt.Errorf("could not read the configuration file: %w", err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return Errorf("configuration file \"%s\": %s", c.File, strings.TrimPrefix(err.Error(), "yaml: "))
	}
	if len(doc.Content) == 0 {
		return nil // empty, or comments only
	}
	root := doc.Content[0]
	if root.Kind != yaml.MappingNode {
		return c.at(root, "expected \"option: value\" lines")
	}
	// What the command line and the environment have set stays.
	fixed := map[string]bool{}
	fs.Visit(func(f *pflag.Flag) { fixed[f.Name] = true })
	seen := map[string]bool{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if seen[key.Value] {
			return c.at(key, "key \"%s\" stands there twice", key.Value)
		}
		seen[key.Value] = true
		if err := c.applyKey(fs, key, value, fixed); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) applyKey(fs *pflag.FlagSet, key, value *yaml.Node, fixed map[string]bool) error {
	f := fs.Lookup(key.Value)
	switch {
	case key.Kind != yaml.ScalarNode:
		return c.at(key, "a key must be the name of an option")
	case key.Value == "config", key.Value == "help":
		return c.at(key, "\"%s\" cannot stand in a configuration file", key.Value)
	case f == nil && c.Known != nil && c.Known(key.Value):
		return nil
	case f == nil:
		return c.at(key, "there is no option \"--%s\"", key.Value)
	}
	if value.Kind == yaml.AliasNode {
		value = value.Alias
	}
	items, err := c.values(key, value)
	if err != nil || fixed[f.Name] {
		return err
	}
	list, isList := f.Value.(pflag.SliceValue)
	switch {
	case value.Kind == yaml.ScalarNode:
		err = fs.Set(f.Name, items[0])
	case !isList:
		return c.at(value, "\"%s\" takes one value, not a list", key.Value)
	default:
		if err = list.Replace(items); err == nil {
			f.Changed = true
		}
	}
	if err != nil {
		return c.at(value, "%s", reason(err))
	}
	return nil
}

// values gives a scalar as one string, or a list of scalars.
func (c *Config) values(key, value *yaml.Node) ([]string, error) {
	nodes := value.Content
	if value.Kind == yaml.ScalarNode {
		nodes = []*yaml.Node{value}
	} else if value.Kind != yaml.SequenceNode {
		return nil, c.at(value, "the value of \"%s\" must be a word, a number, or a list of them", key.Value)
	}
	var items []string
	for _, n := range nodes {
		if n.Kind == yaml.AliasNode {
			n = n.Alias
		}
		if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
			return nil, c.at(n, "\"%s\" has no value, or one that is no word or number", key.Value)
		}
		items = append(items, n.Value)
	}
	return items, nil
}

func (c *Config) at(n *yaml.Node, format string, args ...any) error {
	return Errorf("configuration file \"%s\", line %d: %s", c.File, n.Line, fmt.Sprintf(format, args...))
}

// reason is why a flag did not take a value, without the "-x, --long" of pflag's own text, which reads as a command line.
func reason(err error) string {
	var invalid *pflag.InvalidValueError
	if errors.As(err, &invalid) {
		return fmt.Sprintf("invalid value for --%s: %s", invalid.GetFlag().Name, errors.Unwrap(invalid))
	}
	return err.Error()
}
