package clock

const MaxZones = maxZones

// Zones is how many are kept.
func (c *Clock) Zones() int { return len(c.zones) }
