package author

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	"rtd/host/names"
	"rtd/sdk"
)

// Files of new projects: common for all, and one folder for each language. They are templates of
// package text/template.
//
//go:embed all:template
var templates embed.FS

// New writes a project into dir, whose last part is the plugin's name: sources of a room, its test, a README, and
// the SDK. dir must not be there yet; after an error it is not there either.
func New(dir, languageName string) (*Project, error) {
	name := filepath.Base(filepath.Clean(dir))
	l := byName(languageName)
	if l == nil {
		return nil, fmt.Errorf("no language %q: want one of %s", languageName, strings.Join(Languages(), ", "))
	}
	if err := CheckName(name); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return nil, fmt.Errorf("make project: %w", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("%s is there already: choose another name, or remove it", dir)
		}
		return nil, fmt.Errorf("make project: %w", err)
	}
	if err := fill(dir, name, l); err != nil {
		return nil, errors.Join(fmt.Errorf("make project: %w", err), os.RemoveAll(dir))
	}
	return Open(dir)
}

// CheckName says whether a new plugin may be called so. Names of packages begin with a letter in some languages,
// and rtd is the SDK's.
func CheckName(name string) error {
	if err := names.Check(name); err != nil {
		return fmt.Errorf("the name %w", err)
	}
	if name[0] < 'a' || name == "rtd" {
		return fmt.Errorf("the name is %q; expected one that begins with a letter and is not rtd", name)
	}
	return nil
}

// fill writes the files of a new project.
func fill(dir, name string, l *language) error {
	room, err := sdk.Room(l.name)
	if err != nil {
		return err
	}
	room = bytes.ReplaceAll(room, []byte(`"room:*"`), []byte(`"`+name+`:*"`))
	if err := write(filepath.Join(dir, filepath.FromSlash(l.file(name))), room); err != nil {
		return err
	}
	values := map[string]string{
		"Name": name, "Lang": l.name, "Main": l.file(name), "Tools": l.tools,
		"Setup": strings.ReplaceAll(l.setup, "NAME", name),
	}
	if name != "room" { // what the page joins if nothing else is said
		values["Query"] = "?prefix=" + name
	}
	for _, folder := range []string{"common", l.name} {
		if err := expand(dir, path.Join("template", folder), values); err != nil {
			return err
		}
	}
	into := filepath.Join(dir, "rtd")
	if l.name == "go" { // so that the import path is the one of rtd itself
		into = filepath.Join(dir, "rtd", "sdk", "go")
	}
	return sdk.Copy(l.name, into)
}

// file is where the plugin's code is.
func (l *language) file(name string) string { return strings.ReplaceAll(l.main, "NAME", name) }

// expand writes a folder of templates. A file NAME.x is called like the project.
func expand(dir, folder string, values map[string]string) error {
	return fs.WalkDir(templates, folder, func(file string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		text, err := templates.ReadFile(file)
		if err != nil {
			return err
		}
		parsed, err := template.New(file).Option("missingkey=zero").Parse(string(text))
		if err != nil {
			return err
		}
		var out bytes.Buffer
		if err := parsed.Execute(&out, values); err != nil {
			return err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(file, folder+"/"), ".tmpl")
		name = strings.ReplaceAll(name, "NAME", values["Name"])
		return write(filepath.Join(dir, filepath.FromSlash(name)), out.Bytes())
	})
}

func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// First returns the commands that lead from a new project to its first message, in order.
func (p *Project) First() []string {
	var commands []string
	if p.language.setup != "" {
		commands = append(commands, strings.ReplaceAll(p.language.setup, "NAME", p.Dir))
	}
	return append(commands, "rtd test "+p.Dir, "rtd dev "+p.Dir)
}
