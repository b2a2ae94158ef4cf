package polarcast

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// slotLimit is the longest name of a slot (NAMEDATALEN - 1, src/include/pg_config_manual.h).
const slotLimit = 63

// SlotName is the name of a backup's own replication slot: polarcast_ and the backup's id. Slots have lower-case letters, digits and underscores
// only; an id that has to be changed for that gets a part of its hash, so that no two backups ever share a slot.
func SlotName(backup string) string {
	name := "polarcast_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '_':
			return r
		case r >= 'A' && r <= 'Z':
			return r - 'A' + 'a'
		}
		return '_'
	}, backup)
	if name == "polarcast_"+backup && len(name) <= slotLimit {
		return name
	}
	sum := sha256.Sum256([]byte(backup))
	tail := "_" + hex.EncodeToString(sum[:4])
	return name[:min(len(name), slotLimit-len(tail))] + tail
}
