// Package target knows where the trees of one target are: which directory a record's path becomes, which directories a backup may use
// because they are new, empty or its own, and how they are cleaned up.
package target
