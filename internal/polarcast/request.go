package polarcast

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"polarcast/internal/cli/basebackup"
	"polarcast/messages"
)

// Request is what goes into the event log of a backup. It holds no secret.
func Request(o *basebackup.Options, targets []string, command string) messages.Requested {
	checkpoint := "spread"
	if o.FastCheckpoint {
		checkpoint = "fast"
	}
	r := messages.Requested{
		Label: o.Label, Source: o.Source, Read: o.Read, Targets: targets, WALMethod: o.WALMethod, Slot: o.Slot, CreateSlot: o.CreateSlot,
		NoSlot: o.NoSlot, Stitch: o.Stitch, Delta: o.Delta, Codec: o.Codec, Command: command,
		Options: messages.BackupOptions{Checkpoint: checkpoint, MaxRate: o.MaxRate, Manifest: o.Manifest(), ManifestChecksums: o.ManifestChecksums,
			VerifyChecksums: !o.NoVerifyChecksums, EstimateSize: true},
	}
	if o.LocalIs != "full" {
		r.Options.Local = o.LocalIs
	}
	if o.NoManifest {
		r.Options.ManifestChecksums = ""
	}
	return r
}

// fingerprint identifies the options that must be equal for a backup to be continued: those that decide which bytes come from where. The server
// itself is recognised by its system identifier, so it may be reached in another way.
func fingerprint(r messages.Requested) string {
	targets := slices.Clone(r.Targets)
	slices.Sort(targets)
	b, err := json.Marshal([]any{1, r.Label, r.Source, r.Read, targets, r.Options.Manifest, strings.ToLower(r.Options.ManifestChecksums),
		r.Options.VerifyChecksums, r.WALMethod, r.Slot, r.NoSlot, r.Stitch, r.Options.Local, r.Delta})
	if err != nil {
		b = []byte(r.Label) // strings and booleans always can be marshalled
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// HidePasswords returns a command line for people. A connection string may hold a password, and so does --nats-password, so their values are
// left out.
func HidePasswords(args []string) string {
	secret := []string{"--dbname", "--nats-password", "--nats-token", "--nats"}
	out := make([]string, 0, len(args))
	hide := false
	for _, a := range args {
		name, _, joined := strings.Cut(a, "=")
		switch {
		case hide:
			a, hide = "…", false
		case a == "-d", slices.Contains(secret, a):
			hide = true
		case joined && slices.Contains(secret, name):
			a = name + "=…"
		case strings.HasPrefix(a, "-d") && !strings.HasPrefix(a, "--"):
			a = "-d…"
		}
		out = append(out, a)
	}
	return strings.Join(out, " ")
}
