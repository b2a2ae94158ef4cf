package messages

import "errors"

// Errors of the decoders. They come wrapped with where and what; ask for them with errors.Is. All of them are permanent: the same bytes give
// the same error again.
var (
	ErrBadMagic      = errors.New("these bytes are not a polarcast message")
	ErrFutureVersion = errors.New("written by a newer polarcast: update this one")
	ErrTruncated     = errors.New("message ends too early")
	ErrBadHeader     = errors.New("header is damaged")
	ErrBadPath       = errors.New("path does not stay inside of the data directory")
	ErrTooLarge      = errors.New("longer than any polarcast writes")
	ErrChecksum      = errors.New("CRC32C does not match")
	ErrBadPayload    = errors.New("payload is damaged")
)
