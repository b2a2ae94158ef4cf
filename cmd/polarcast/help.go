package main

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

const exitCodes = `Exit status is 0 when the command has done its part, 1 when it has failed, and 130 after a second interrupt. A command that was interrupted,
killed, or failed for a reason that passes continues when it is started again with the same options.
`

const environment = `Every option can also be set in the environment (--max-lag is POLARCAST_MAX_LAG) and in a YAML file (--config, or POLARCAST_CONFIG), where each
long option is a key. The command line wins over the environment, and that over the file.
`

func help() string {
	var b strings.Builder
	b.WriteString("polarcast sends a base backup of a running PolarDB or PostgreSQL server to any number of hosts.\n\nUsage:\n  polarcast COMMAND [OPTION]...\n\nCommands:\n")
	for _, c := range commands() {
		fmt.Fprintf(&b, "  %-17s %s\n", c.name, c.short)
	}
	b.WriteString("\n\"polarcast COMMAND --help\" shows the options of a command.\n\n")
	b.WriteString(environment + "\n" + exitCodes)
	return b.String()
}

func (c *command) help(fs *pflag.FlagSet) string {
	var b strings.Builder
	fmt.Fprintf(&b, "polarcast %s: %s\n\nUsage:\n  polarcast %s [OPTION]...", c.name, c.short, c.name)
	if c.args != "" {
		b.WriteString(" " + c.args)
	}
	b.WriteString("\n")
	if c.long != "" {
		b.WriteString("\n" + strings.TrimSpace(c.long) + "\n")
	}
	b.WriteString("\nOptions:\n" + usages(fs) + "\n" + environment + "\n" + exitCodes)
	return b.String()
}

// usages is pflag's list of options, without what it says of those that take no value.
func usages(fs *pflag.FlagSet) string {
	const noise = "[=true|false]"
	return strings.ReplaceAll(fs.FlagUsagesWrapped(110), noise, strings.Repeat(" ", len(noise)))
}
