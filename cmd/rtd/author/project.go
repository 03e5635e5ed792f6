package author

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"rtd/host/config"
	"rtd/host/names"
	"rtd/sandbox/abi"
	"rtd/sandbox/manifest"
)

// ConfigFile is the name of a server's config; a project may have one for rtd build, test and dev.
const ConfigFile = "config.toml"

// Project is a folder with the sources of a plugin.
type Project struct {
	Dir string // as it was given
	config.Project
	language *language
}

// Open reads what a folder is the project of. Without rtd.toml it is named like the folder.
func Open(dir string) (*Project, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is not a folder")
	}
	if err != nil {
		return nil, fmt.Errorf("open project %s: %w; make one with: rtd new NAME --lang go", dir, err)
	}
	p := &Project{Dir: dir}
	if p.language = detect(dir); p.language == nil {
		return nil, fmt.Errorf("open project %s: it has none of %s; make one with: rtd new NAME --lang go", dir, marks())
	}
	read, err := config.LoadProject(filepath.Join(dir, config.ProjectFile))
	if errors.Is(err, fs.ErrNotExist) {
		read, err = p.unnamed()
	}
	if err != nil {
		return nil, err
	}
	p.Project = *read
	return p, nil
}

// unnamed is the project of a folder without rtd.toml.
func (p *Project) unnamed() (*config.Project, error) {
	full, err := filepath.Abs(p.Dir)
	if err != nil {
		return nil, fmt.Errorf("open project: %w", err)
	}
	name := filepath.Base(full)
	if err := names.Check(name); err != nil {
		return nil, fmt.Errorf("open project %s: the name of the folder %w; or add a file %s with a name", p.Dir, err, config.ProjectFile)
	}
	return &config.Project{Name: name, Version: "0.1.0"}, nil
}

// Language is the project's: go, rust, as or c.
func (p *Project) Language() string { return p.language.name }

// Output is where a build goes if nothing else is said.
func (p *Project) Output() string { return filepath.Join(p.Dir, p.Name+".wasm") }

// Config reads the config of a server: file if that is given, or else what the project has, or
// else the defaults.
func (p *Project) Config(file string) (*config.Config, error) { return LoadConfig(file, p.Dir) }

// LoadConfig is [Project.Config] for a folder that may be none of a project.
func LoadConfig(file, dir string) (*config.Config, error) {
	if file != "" {
		return config.Load(file)
	}
	c, err := config.Load(filepath.Join(dir, ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		return config.Default(), nil
	}
	return c, err
}

// manifest is what the module is to say of itself, if it declares this.
func (p *Project) manifest(d declarations) manifest.Manifest {
	c := p.Capabilities
	return manifest.Manifest{
		Name: p.Name, Version: p.Version, Topics: d.topics, Durable: d.durable, History: d.history, ABI: abi.Module,
		Capabilities: manifest.Capabilities{
			Topics: c.Topics, Depends: c.Depends, Connect: c.Connect, Disconnect: c.Disconnect,
		},
	}
}

// skipped says whether a folder of a project holds no sources: what was built or installed.
func skipped(name string) bool {
	return strings.HasPrefix(name, ".") || name == "node_modules" || name == "target" || name == "build"
}
