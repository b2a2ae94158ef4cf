package pipeline

import (
	"fmt"
	"regexp"
	"strings"
)

const (
	eventStream  = "POLARCAST_EVENTS"
	eventPrefix  = "polarcast.events."
	leaseBucket  = "POLARCAST_LEASES"
	chunkStream  = "POLARCAST_CHUNKS_"
	indexStream  = "POLARCAST_INDEX_"
	workStream   = "POLARCAST_WORK_"
	chunkPrefix  = "polarcast.chunks."
	indexPrefix  = "polarcast.index."
	workPrefix   = "polarcast.work."
	progressRoot = "polarcast.progress."
)

// Subject is the part of a subject behind the backup's id.
type Subject string

const (
	SubjectData  Subject = "data"  // chunks of files
	SubjectWAL   Subject = "wal"   // chunks of WAL
	SubjectParts Subject = "parts" // index: what was published

	receiptsPrefix = "receipts."
	offersPrefix   = "offers."
)

// SubjectReceipts is the index subject of one target's receipts.
func SubjectReceipts(target string) Subject { return Subject(receiptsPrefix + target) }

// SubjectOffers is the index subject of what one target held before a delta backup.
func SubjectOffers(target string) Subject { return Subject(offersPrefix + target) }

// OffersOf returns the target whose offers a subject carries, "" for other subjects.
func (s Subject) OffersOf() string {
	t, ok := strings.CutPrefix(string(s), offersPrefix)
	if !ok {
		return ""
	}
	return t
}

// IsReceipts tells receipts from parts.
func (s Subject) IsReceipts() bool { return strings.HasPrefix(string(s), receiptsPrefix) }

var validName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// ValidName refuses names of backups and targets that JetStream could not carry in names and subjects.
func ValidName(kind, name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%s name %q is not allowed: use 1 to 64 letters, digits, '-' and '_'", kind, name)
	}
	return nil
}

func consumerName(target string) string { return "target_" + target }
