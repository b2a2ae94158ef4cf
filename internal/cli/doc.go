// Package cli holds what the commands share towards the person at the terminal.
//
//   - [Scanner] walks a command line as glibc's getopt_long does: abbreviated
//     long options, joined short ones, permuted arguments, and the same words
//     when something is wrong.
//   - [Error] is a refused command line or a fatal error in the shape that
//     PostgreSQL's programs print: a message, details and a hint.
//   - [Messages] prints lines as PostgreSQL's frontend logging does, with its
//     colours; [Progress] prints the line of pg_basebackup -P.
//   - [NATSFlags] and [Config] give polarcast's commands their NATS connection
//     options, configuration file and environment variables.
//
// Nothing here knows what a backup is, except for the wording of its messages.
package cli
