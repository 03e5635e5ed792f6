// Package store keeps durable actors on the bus.
//
//	Commit ──► queue ──► committer ──► log of the node: one synced record for all who wait
//	                         │
//	                         ▼
//	                  what has changed ──► checkpoint ──► leaves in a store of the bus, then the log is purged
package store
