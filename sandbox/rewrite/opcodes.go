package rewrite

// immediate says what follows an opcode.
type immediate uint8

const (
	immUnknown   immediate = iota // not an opcode that we know: refused
	immNone                       // nothing
	immBlock                      // a block type; opens a frame
	immElse                       // nothing; inside of an if
	immEnd                        // nothing; closes a frame
	immLabel                      // a label
	immLabels                     // a vector of labels and a default label
	immFunc                       // a function index, to be shifted
	immCall                       // a function index, to be shifted; a call
	immCallType                   // a type index and a table index; a call
	immSelect                     // a vector of exactly one value type
	immLocal                      // a local index
	immGlobal                     // a global index
	immTable                      // a table index
	immTableSet                   // a table index; changes a table
	immLoad                       // alignment and offset; reads memory
	immStore                      // the same; writes memory
	immMemory                     // a memory index, a zero byte
	immGrow                       // the same; its operand is a number of pages
	immI32                        // a signed LEB128 of 32 bits
	immI64                        // a signed LEB128 of 64 bits
	immF32                        // 4 bytes
	immF64                        // 8 bytes
	immRefType                    // a reference type
	immMisc                       // a second opcode, see miscOpcodes
	immVector                     // a second opcode, see vectorOpcodes
	immV128                       // 16 bytes: a constant, or the lanes of a shuffle
	immLane                       // a lane
	immLoadLane                   // alignment, offset and a lane; reads memory
	immStoreLane                  // the same; writes memory

	immMemoryInit // a data index and a zero byte; its top operand is a number of bytes
	immDataDrop   // a data index; changes what memory.init finds
	immMemoryCopy // two zero bytes; its top operand is a number of bytes
	immMemoryFill // a zero byte; its top operand is a number of bytes
	immTableInit  // an element index and a table index; its top operand is a number of entries
	immElemDrop   // an element index; changes what table.init finds
	immTableCopy  // two table indices; its top operand is a number of entries
	immTableFill  // a table index; its top operand is a number of entries (table.grow and table.fill)
)

// opcodeRow is a run of opcodes that have the same immediates and came with the same feature.
type opcodeRow struct {
	first, last byte
	imm         immediate
	feature     Features
}

// opcodes are the first bytes of the instructions.
var opcodes = expand([]opcodeRow{
	{0x00, 0x01, immNone, 0},                  // unreachable, nop
	{0x02, 0x04, immBlock, 0},                 // block, loop, if
	{0x05, 0x05, immElse, 0},                  // else
	{0x0b, 0x0b, immEnd, 0},                   // end
	{0x0c, 0x0d, immLabel, 0},                 // br, br_if
	{0x0e, 0x0e, immLabels, 0},                // br_table
	{0x0f, 0x0f, immNone, 0},                  // return
	{0x10, 0x10, immCall, 0},                  // call
	{0x11, 0x11, immCallType, 0},              // call_indirect
	{0x12, 0x12, immCall, TailCall},           // return_call
	{0x13, 0x13, immCallType, TailCall},       // return_call_indirect
	{0x1a, 0x1b, immNone, 0},                  // drop, select
	{0x1c, 0x1c, immSelect, ReferenceTypes},   // select with a type
	{0x20, 0x22, immLocal, 0},                 // local.get, local.set, local.tee
	{0x23, 0x24, immGlobal, 0},                // global.get, global.set
	{0x25, 0x25, immTable, ReferenceTypes},    // table.get
	{0x26, 0x26, immTableSet, ReferenceTypes}, // table.set
	{0x28, 0x35, immLoad, 0},                  // i32.load … i64.load32_u
	{0x36, 0x3e, immStore, 0},                 // i32.store … i64.store32
	{0x3f, 0x3f, immMemory, 0},                // memory.size
	{0x40, 0x40, immGrow, 0},                  // memory.grow
	{0x41, 0x41, immI32, 0},                   // i32.const
	{0x42, 0x42, immI64, 0},                   // i64.const
	{0x43, 0x43, immF32, 0},                   // f32.const
	{0x44, 0x44, immF64, 0},                   // f64.const
	{0x45, 0xbf, immNone, 0},                  // i32.eqz … f64.reinterpret_i64
	{0xc0, 0xc4, immNone, SignExtension},      // i32.extend8_s … i64.extend32_s
	{0xd0, 0xd0, immRefType, ReferenceTypes},  // ref.null
	{0xd1, 0xd1, immNone, ReferenceTypes},     // ref.is_null
	{0xd2, 0xd2, immFunc, ReferenceTypes},     // ref.func
	{0xfc, 0xfc, immMisc, 0},                  // see miscOpcodes
	{0xfd, 0xfd, immVector, SIMD},             // see vectorOpcodes
})

// miscOpcodes are the second opcodes behind 0xfc.
var miscOpcodes = expand([]opcodeRow{
	{0x00, 0x07, immNone, SaturatingConversion}, // i32.trunc_sat_f32_s … i64.trunc_sat_f64_u
	{0x08, 0x08, immMemoryInit, BulkMemory},     // memory.init
	{0x09, 0x09, immDataDrop, BulkMemory},       // data.drop
	{0x0a, 0x0a, immMemoryCopy, BulkMemory},     // memory.copy
	{0x0b, 0x0b, immMemoryFill, BulkMemory},     // memory.fill
	{0x0c, 0x0c, immTableInit, BulkMemory},      // table.init
	{0x0d, 0x0d, immElemDrop, BulkMemory},       // elem.drop
	{0x0e, 0x0e, immTableCopy, BulkMemory},      // table.copy
	{0x0f, 0x0f, immTableFill, ReferenceTypes},  // table.grow
	{0x10, 0x10, immTable, ReferenceTypes},      // table.size
	{0x11, 0x11, immTableFill, ReferenceTypes},  // table.fill
})

// vectorOpcodes are the second opcodes behind 0xfd. Holes are opcodes that the specification reserves.
var vectorOpcodes = expand([]opcodeRow{
	{0x00, 0x0a, immLoad, SIMD},      // v128.load … v128.load64_splat
	{0x0b, 0x0b, immStore, SIMD},     // v128.store
	{0x0c, 0x0d, immV128, SIMD},      // v128.const, i8x16.shuffle
	{0x0e, 0x14, immNone, SIMD},      // i8x16.swizzle, the splats
	{0x15, 0x22, immLane, SIMD},      // i8x16.extract_lane_s … f64x2.replace_lane
	{0x23, 0x53, immNone, SIMD},      // i8x16.eq … v128.any_true
	{0x54, 0x57, immLoadLane, SIMD},  // v128.load8_lane … v128.load64_lane
	{0x58, 0x5b, immStoreLane, SIMD}, // v128.store8_lane … v128.store64_lane
	{0x5c, 0x5d, immLoad, SIMD},      // v128.load32_zero, v128.load64_zero
	{0x5e, 0x99, immNone, SIMD},      // f32x4.demote_f64x2_zero … i16x8.max_u
	{0x9b, 0xa1, immNone, SIMD},      // i16x8.avgr_u … i32x4.neg
	{0xa3, 0xa4, immNone, SIMD},      // i32x4.all_true, i32x4.bitmask
	{0xa7, 0xae, immNone, SIMD},      // i32x4.extend_low_i16x8_s … i32x4.add
	{0xb1, 0xb1, immNone, SIMD},      // i32x4.sub
	{0xb5, 0xba, immNone, SIMD},      // i32x4.mul … i32x4.dot_i16x8_s
	{0xbc, 0xc1, immNone, SIMD},      // i32x4.extmul_low_i16x8_s … i64x2.neg
	{0xc3, 0xc4, immNone, SIMD},      // i64x2.all_true, i64x2.bitmask
	{0xc7, 0xce, immNone, SIMD},      // i64x2.extend_low_i32x4_s … i64x2.add
	{0xd1, 0xd1, immNone, SIMD},      // i64x2.sub
	{0xd5, 0xe1, immNone, SIMD},      // i64x2.mul … f32x4.neg
	{0xe3, 0xed, immNone, SIMD},      // f32x4.sqrt … f64x2.neg
	{0xef, 0xff, immNone, SIMD},      // f64x2.sqrt … f64x2.convert_low_i32x4_u
})

// opcode is what the tables say about one opcode.
type opcode struct {
	imm     immediate
	feature Features
}

func expand(rows []opcodeRow) (table [256]opcode) {
	for _, row := range rows {
		for op := int(row.first); op <= int(row.last); op++ {
			table[op] = opcode{row.imm, row.feature}
		}
	}
	return table
}

// proposal names what an unknown opcode belongs to, for the error.
func proposal(op byte) string {
	switch op {
	case 0x06, 0x07, 0x08, 0x09, 0x0a, 0x18, 0x19, 0x1f:
		return "exception handling"
	case 0x14, 0x15, 0xd4, 0xd5, 0xd6:
		return "typed function references"
	case 0xd3, 0xfb:
		return "garbage collection"
	case 0xfe:
		return "threads"
	}
	return "unknown instruction"
}
