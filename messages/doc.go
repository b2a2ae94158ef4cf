// Package messages defines the bytes that polarcast's stages exchange: records of files (chunk stream and index), receipts, and events.
// It knows bytes and nothing else. The formats are specified in docs/messages.md.
package messages
