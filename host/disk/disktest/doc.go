// Package disktest has disks for tests: small ones, which can be full, and ones whose power can be cut. They are for Linux, and for root.
package disktest
