package chat

import "time"

// Bucket is a day, in UTC, since 1970-01-01. A conversation stands in the bucket of its latest
// activity. Both members' rows are written only when it enters a new one, so keeping the newest
// conversations first costs nothing per message; a sync reads only the buckets since the last one.
//
// A day, because a write unit costs five times a read unit: shorter buckets save reads of
// conversations that did not change, but write two rows for every bucket with a message in it.
type Bucket int64

// BucketAt is the bucket of a time in Unix milliseconds.
func BucketAt(ms int64) Bucket { return Bucket(ms / (24 * time.Hour).Milliseconds()) }
