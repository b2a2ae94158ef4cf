package work

import "polarcast/messages"

// EventPagesDamaged is the event of pages whose checksum is wrong on the source. The backup goes on; its end counts them.
const EventPagesDamaged = messages.EventType("pages_damaged")

// PagesDamaged names damaged pages of one file.
type PagesDamaged struct {
	Session uint32        `json:"session"`
	Tree    messages.Tree `json:"tree"`
	Path    string        `json:"path"`
	// From is where the range begins that the reader looked at, in bytes; a range that is read again is reported again.
	From int64 `json:"from"`
	// Count is how many pages of the range are damaged, Pages the first of them by number within the file.
	Count int64    `json:"count"`
	Pages []uint32 `json:"pages"`
}
