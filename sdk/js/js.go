// Package js holds the client library for JavaScript, so that the chat page is served the same file that applications install.
package js

import _ "embed"

// Recovery is the library: an ES module.
//
//go:embed recovery.js
var Recovery []byte
