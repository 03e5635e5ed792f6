package host_test

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"rtd/host/config"
)

// The package doc has the limits as the config has them, their metrics exist, and it
// has every cause for which a connection is refused, and no other.
func TestTablesOfTheDoc(t *testing.T) {
	doc, code := source(t, "doc.go"), ""
	files, err := filepath.Glob("*.go")
	must(t, err)
	more, err := filepath.Glob("gateway/*.go")
	must(t, err)
	for _, file := range append(files, more...) {
		if !strings.HasSuffix(file, "doc.go") && !strings.HasSuffix(file, "_test.go") {
			code += source(t, file)
		}
	}
	for _, name := range regexp.MustCompile(`rtd_(\w+)`).FindAllStringSubmatch(doc, -1) {
		if !strings.Contains(code, `("`+name[1]+`", "`) {
			t.Errorf("there is no metric %s", name[0])
		}
	}

	rows := regexp.MustCompile(`(?m)^//\t(server|plugins|socket\.NAME|plugin\.NAME)\.(\w+) +([\d,]+)( KiB| MiB| GiB| s)?`).FindAllStringSubmatch(doc, -1)
	if len(rows) < 15 {
		t.Errorf("the table of limits has %d keys", len(rows))
	}
	c := config.Default()
	tables := map[string]any{"server": c.Server, "plugins": c.Plugins, "socket.NAME": c.Sockets["socket"], "plugin.NAME": c.Plugin("any")}
	units := map[string]int64{"": 1, " KiB": 1 << 10, " MiB": 1 << 20, " GiB": 1 << 30, " s": int64(time.Second)}
	for _, row := range rows {
		says, err := strconv.ParseInt(strings.ReplaceAll(row[3], ",", ""), 10, 64)
		must(t, err)
		if is, ok := valueOf(tables[row[1]], row[2]); !ok || is != says*units[row[4]] {
			t.Errorf("%s.%s is %s%s in the table, %d in the config", row[1], row[2], row[3], row[4], is)
		}
	}

	causes := map[string]bool{}
	refusals, _, _ := strings.Cut(doc, "# Limits")
	for _, row := range regexp.MustCompile(`(?m)^//\t[45]\S+ {2,6}([a-z_]+)  `).FindAllStringSubmatch(refusals, -1) {
		causes[row[1]] = false
	}
	for _, call := range regexp.MustCompile(`refuse\([^,"]+, "(\w+)"`).FindAllStringSubmatch(code, -1) {
		if _, has := causes[call[1]]; !has {
			t.Errorf("the table of refusals has no cause %s", call[1])
		}
		causes[call[1]] = true
	}
	for cause, used := range causes {
		if !used {
			t.Errorf("nobody is refused for %s", cause)
		}
	}
}

// The files that the ways through the code name are there: a name without a folder is in that of the name before.
func TestWaysThroughTheCode(t *testing.T) {
	_, ways, _ := strings.Cut(source(t, "doc.go"), "# Ways through the code")
	ways, _, _ = strings.Cut(ways, "# Questions")
	at, named := "", 0
	for _, name := range regexp.MustCompile(`[a-z0-9]+(/[a-z0-9]+)*\.go`).FindAllString(ways, -1) {
		if folder := filepath.Dir(name); folder != "." {
			at = folder
		}
		found := false
		for _, path := range []string{filepath.Join("..", at, filepath.Base(name)), filepath.Join(at, filepath.Base(name)), filepath.Base(name)} {
			_, err := os.Stat(path)
			found = found || err == nil
		}
		if named++; !found {
			t.Errorf("there is no %s (after %s)", name, at)
		}
	}
	if named < 20 {
		t.Errorf("%d files are named", named)
	}
}

// The files that the checklists name are there.
func TestChecklists(t *testing.T) {
	for file, least := range map[string]int{"../sandbox/abi/doc.go": 20, "ask/doc.go": 10} {
		_, list, _ := strings.Cut(source(t, file), "# A new ")
		list, _, _ = strings.Cut(strings.Split(list, "# Questions")[0], "# Rationale")
		named := 0
		for _, name := range regexp.MustCompile(`\b(sandbox|host|channels|cmd|sdk)/[a-zA-Z0-9_/.]*[a-zA-Z0-9_]|README\.md|config\.toml`).FindAllString(list, -1) {
			if strings.Contains(name, "NAME") {
				continue
			}
			if _, err := os.Stat(filepath.Join("..", name)); err != nil {
				t.Errorf("%s names %s, which is not there", file, name)
			}
			named++
		}
		if named < least {
			t.Errorf("%s names %d files, want %d or more", file, named, least)
		}
	}
}

func source(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	return string(text)
}

// valueOf returns the number that a table of the config has under a key.
func valueOf(table any, key string) (n int64, ok bool) {
	of := reflect.ValueOf(table)
	for i := range of.NumField() {
		if of.Type().Field(i).Tag.Get("toml") == key {
			return of.Field(i).Int(), true
		}
	}
	return 0, false
}
