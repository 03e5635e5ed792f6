// Package names has the rule for the names that an operator gives: of plugins, of sockets, of projects.
//
// One name is used in many places: the file NAME.wasm and the folder of its versions, the table [plugin.NAME], the
// path of a request to the admin's socket, a label of metrics, a word in a log. The rule is what is safe in all of them
// without quoting, also where files do not tell a from A.
//
// # Questions
//
// Why a package for one function? Packages config, folder and versions need it, and none of them is a part of
// another. It imports nothing of rtd.
package names

import "fmt"

// MaxLen is how many bytes a name may have.
const MaxLen = 64

// Check returns nil for a name of 1 to [MaxLen] of a-z, 0-9, _ and -. For any other, the error is of the form "is …; expected …",
// to be put behind whose name it is.
func Check(name string) error {
	ok := 0 < len(name) && len(name) <= MaxLen
	for _, c := range []byte(name) {
		ok = ok && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-')
	}
	if !ok {
		return fmt.Errorf("is %.80q; expected 1 to %d of a-z, 0-9, _ and -", name, MaxLen)
	}
	return nil
}
