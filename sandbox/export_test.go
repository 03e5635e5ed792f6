package sandbox

import "bytes"

// Memory brings the instance into a slot and copies its memory and globals.
// What the guest has declared as scratch reads as zero.
func (i *Instance) Memory() (memory []byte, globals []uint64, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	s, err := i.wake()
	if err != nil {
		return nil, nil, err
	}
	memory = bytes.Clone(s.memory.image.Bytes())
	clear(memory[i.plugin.scratch.from:i.plugin.scratch.to])
	for _, g := range s.globals {
		globals = append(globals, g.Get())
	}
	i.slot = s
	i.plugin.pool.release(s, i)
	return memory, globals, nil
}

// Everything is the memory of all slots, scratch and all.
func (p *Plugin) Everything() [][]byte {
	p.pool.mu.Lock()
	defer p.pool.mu.Unlock()
	var all [][]byte
	for s := p.pool.first; s != nil; s = s.next {
		all = append(all, s.memory.image.Bytes())
	}
	return all
}

// AtRest says whether the instance is in no slot, and how large its state is.
func (i *Instance) AtRest() (bool, int) {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.slot == nil, i.idle.Size()
}

// NeverCompact keeps guests from being told to collect their garbage.
func (p *Plugin) NeverCompact() { p.futile.Store(1 << 20) }
