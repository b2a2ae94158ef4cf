package source

import (
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgtype"
)

// textArray and int8Array are the binary form of one-dimensional arrays (array_recv).
func textArray(v []string) []byte {
	b := arrayHeader(len(v), pgtype.TextOID)
	for _, s := range v {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	return b
}

func int8Array(v []int64) []byte {
	b := arrayHeader(len(v), pgtype.Int8OID)
	for _, n := range v {
		b = binary.BigEndian.AppendUint32(b, 8)
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

func arrayHeader(n int, oid uint32) []byte {
	be := binary.BigEndian
	b := be.AppendUint32(nil, 1)
	b = be.AppendUint32(b, 0) // no NULLs
	b = be.AppendUint32(b, oid)
	b = be.AppendUint32(b, uint32(n))
	return be.AppendUint32(b, 1) // lower bound
}
