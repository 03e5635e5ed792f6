package web

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"time"

	"rtd/sdk/js"
)

//go:embed static
var static embed.FS

// contentTypes has the kinds of files of the page. The types stand here because those of
// package mime depend on the machine.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

const contentSecurityPolicy = "default-src 'self'; connect-src 'self' ws: wss:; object-src 'none'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// file is one file of the page, ready to be served.
type file struct {
	content     []byte
	contentType string
	etag        string
}

// Handler serves the page at "/" and its files next to it, to GET and HEAD; every other
// path is 404, and every other method on a path that exists is 405. It expects to be
// mounted at the root, and a socket at /socket.
//
// Answers carry an ETag and must be revalidated, and their Content-Security-Policy allows this origin's files only.
// The handler has no state; it is safe for concurrent use.
func Handler() http.Handler {
	files := load()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed: the page answers GET and HEAD", http.StatusMethodNotAllowed)
			return
		}
		h.Set("Content-Type", f.contentType)
		h.Set("ETag", f.etag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", contentSecurityPolicy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.content))
	})
}

// load reads the embedded files by the path that they are served at. It panics when one cannot be served: the binary
// was built wrongly then, and every start would show it.
func load() map[string]file {
	entries, err := fs.ReadDir(static, "static")
	if err != nil {
		panic(fmt.Errorf("read embedded page: %w", err))
	}
	files := make(map[string]file, len(entries)+1)
	add := func(name string, content []byte) {
		contentType, ok := contentTypes[path.Ext(name)]
		if !ok {
			panic(fmt.Errorf("read embedded page: %s has no content type", name))
		}
		files[name] = file{content, contentType, fmt.Sprintf(`"%x"`, sha256.Sum256(content))}
	}
	add("/recovery.js", js.Recovery)
	for _, entry := range entries {
		content, err := fs.ReadFile(static, path.Join("static", entry.Name()))
		if err != nil {
			panic(fmt.Errorf("read embedded page: %w", err))
		}
		add("/"+entry.Name(), content)
	}
	files["/"] = files["/index.html"]
	delete(files, "/index.html")
	return files
}
