// A sequencer, a crossbar tile with its ADCs and a digital unit for the instructions of the sample network, and some
// that directed programs need beside them: move, capture, selftest, pattern.
//
// runs.txt in the current folder lists what to run, one line each: the folder of an image that `cimc image` wrote, the
// words of its code, constants and activations, the address and the bytes of its output. Of each run on one sample,
// chip.records has a line `run FOLDER FAULT`, then the records that `cimc trace` writes. +fault=N switches a fault on;
// with +last=M, each run is done again with every fault from N to M.
module sequencer #(
    parameter int TILES = 1,
    parameter int ROWS = 1024,
    parameter int COLUMNS = 512,
    parameter longint ADC_HIGH = 127
);
  import cimc_isa::*;

  // Faults.
  localparam int ADC_HALF_UP = 1;
  localparam int ADC_FLOORS = 2;
  localparam int LOWEST_CODE_KEPT = 3;
  localparam int SATURATION_LOST = 4;
  localparam int PAIR_SWAPPED = 5;
  localparam int STALE_ACCUMULATOR = 6;
  localparam int ROW_OFF_BY_ONE = 7;
  localparam int REQUANTISE_HALF_UP = 8;
  localparam int FILL_IS_ZERO = 9;
  localparam int LAST_TAP_MISSED = 10;
  localparam int OPERANDS_SWAPPED = 11;
  localparam int HIGH_CLAMP_LOST = 12;
  localparam int WINDOW_OFF_BY_ONE = 13;
  localparam int SHIFT_ONE_LESS = 14;
  localparam int BIAS_LOST = 15;

  // What a record is about.
  localparam int ACT = 0;
  localparam int TILE = 1;
  localparam int FACTOR = 2;
  localparam int GAIN = 3;
  localparam int HALTED = 4;

  logic [255:0] code[0:4095];
  logic [7:0] constants[0:65535];
  logic [7:0] activations[0:65535];
  logic [15:0] plus[0:ROWS*COLUMNS-1];
  logic [15:0] minus[0:ROWS*COLUMNS-1];
  // Plus less minus of every cell that a block holds.
  int difference[0:ROWS*COLUMNS-1];

  // Streams: axis n of stream s is entry 4 s + n, direction n of a window entry 2 s + n.
  longint base[0:15], kind[0:15], space[0:15], windowed[0:15], filling[0:15];
  longint shape[0:63], pitch[0:63];
  longint kernel[0:31], stride[0:31], dilation[0:31], pad[0:31], outs[0:31];

  // Blocks, and 64 drift factors of each.
  longint block_row[0:255], block_col[0:255], block_rows[0:255], block_cols[0:255];
  longint factors[0:16383];
  longint gain_multiplier, gain_divide;

  logic [255:0] word;
  logic [63:0] pc;
  longint clip_low, clip_high, records;
  logic [31:0] crc;
  int input_codes[0:4095];
  longint moved[0:4095];
  int fault, first, last, trace, list;
  int code_words, constant_words, activation_words, output_address, output_bytes;
  reg [8*32-1:0] folder, name;
  // Instructions done, one in each unit of time: what a bench in lock step waits for.
  int retired;

  // Numbers.

  function automatic longint rounded(input longint n, input longint k, input int half_up, input int down);
    longint whole, rest, half;
    whole = n >>> k;
    rest = n - (whole <<< k);
    half = k == 0 ? 1 : (64'sd1 <<< (k - 1));
    rounded = whole;
    if (down == 0 && (rest > half || (rest == half && (whole[0] || half_up != 0)))) rounded = whole + 1;
  endfunction

  function automatic longint quotient(input longint n, input longint d);
    longint rest;
    quotient = n / d;
    rest = n - quotient * d;
    if (2 * rest > d || (2 * rest == d && quotient[0])) quotient = quotient + 1;
  endfunction

  function automatic longint clamped(input longint n, input longint low, input longint high);
    clamped = n < low ? low : n > high ? high : n;
  endfunction

  function automatic logic [31:0] crc_of(input logic [31:0] so_far, input logic [7:0] data);
    crc_of = so_far ^ {24'd0, data};
    for (int n = 0; n < 8; n++) crc_of = crc_of[0] ? (crc_of >> 1) ^ 32'hedb88320 : crc_of >> 1;
  endfunction

  // Memories.

  function automatic int bytes_of(input longint element);
    bytes_of = element == 5 ? 8 : element == 4 ? 4 : element >= 2 ? 2 : 1;
  endfunction

  function automatic longint loaded(input longint memory, input longint address, input longint element);
    int size;
    size = bytes_of(element);
    loaded = 0;
    for (int n = 0; n < size; n++)
      loaded = loaded | (longint'(memory != 0 ? constants[address+n] : activations[address+n]) << (8 * n));
    if (element[0] == 0 || element == 5)
      if (size < 8 && ((loaded >> (8 * size - 1)) & 1) != 0) loaded = loaded - (64'sd1 <<< (8 * size));
  endfunction

  function automatic longint vectors_of(input int s);
    vectors_of = windowed[s] != 0 ? outs[2*s] * outs[2*s+1] : shape[4*s] * shape[4*s+1] * shape[4*s+2];
  endfunction

  function automatic longint length_of(input int s);
    length_of = (windowed[s] != 0 ? kernel[2*s] * kernel[2*s+1] : 1) * shape[4*s+3];
  endfunction

  function automatic longint address_of(input int s, input longint a, input longint b, input longint c, input longint d);
    address_of = base[s] + bytes_of(kind[s]) * (a * pitch[4*s] + b * pitch[4*s+1] + c * pitch[4*s+2] + d * pitch[4*s+3]);
  endfunction

  // Element n of vector v of a stream: windows read `fill` outside the tensor.
  function automatic longint element_of(input int s, input longint v, input longint n);
    longint a, b, c, tap, row, column;
    if (windowed[s] == 0) begin
      c = v % shape[4*s+2];
      b = v / shape[4*s+2] % shape[4*s+1];
      a = v / shape[4*s+2] / shape[4*s+1];
      element_of = loaded(space[s], address_of(s, a, b, c, n), kind[s]);
    end else begin
      tap = n / shape[4*s+3];
      row = v / outs[2*s+1] * stride[2*s] - pad[2*s] + tap / kernel[2*s+1] * dilation[2*s];
      column = v % outs[2*s+1] * stride[2*s+1] - pad[2*s+1] + tap % kernel[2*s+1] * dilation[2*s+1];
      if (fault == WINDOW_OFF_BY_ONE) column = column + 1;
      if (row < 0 || row >= shape[4*s+1] || column < 0 || column >= shape[4*s+2])
        element_of = fault == FILL_IS_ZERO ? 0 : filling[s];
      else element_of = loaded(space[s], address_of(s, 0, row, column, n % shape[4*s+3]), kind[s]);
    end
  endfunction

  // Writes element n, counted over a whole plain stream, and takes it into the CRC.
  task automatic store(input int s, input longint n, input longint value);
    longint a, b, c, d, address;
    d = n % shape[4*s+3];
    c = n / shape[4*s+3] % shape[4*s+2];
    b = n / shape[4*s+3] / shape[4*s+2] % shape[4*s+1];
    a = n / shape[4*s+3] / shape[4*s+2] / shape[4*s+1];
    address = address_of(s, a, b, c, d);
    for (int k = 0; k < bytes_of(kind[s]); k++) begin
      activations[address+k] = value[8*k+:8];
      crc = crc_of(crc, value[8*k+:8]);
    end
  endtask

  // Records.

  task automatic record(input int where, input longint low, input longint high, input longint count, input int counted);
    $fwrite(trace, "%0h %0h - %0h ", pc, pc, word[7:0]);
    case (where)
      ACT: $fwrite(trace, "act");
      TILE: $fwrite(trace, "tile0");
      FACTOR: $fwrite(trace, "factor");
      GAIN: $fwrite(trace, "gain");
      default: $fwrite(trace, "end");
    endcase
    $fwrite(trace, " %0h..%0h %0h %08h ", low, high, count, ~crc);
    if (counted != 0) $fwrite(trace, "%0h %0h\n", clip_low, clip_high);
    else $fwrite(trace, "- -\n");
    records = records + 1;
  endtask

  task automatic record_stream(input int s, input int counted);
    longint low, high, span;
    low = base[s];
    high = base[s];
    for (int n = 0; n < 4; n++) begin
      span = (shape[4*s+n] - 1) * pitch[4*s+n] * bytes_of(kind[s]);
      if (span < 0) low = low + span;
      else high = high + span;
    end
    record(ACT, low, high + bytes_of(kind[s]) - 1, vectors_of(s) * length_of(s), counted);
  endtask

  // The tile.

  // Records what cells hold: the image has it.
  task automatic record_cells(input longint row, input longint col, input longint rows, input longint cols);
    longint cell_at;
    for (longint i = 0; i < rows; i++)
      for (longint j = 0; j < cols; j++) begin
        cell_at = (row + i) * COLUMNS + col + j;
        for (int k = 0; k < 2; k++) crc = crc_of(crc, plus[cell_at][8*k+:8]);
        for (int k = 0; k < 2; k++) crc = crc_of(crc, minus[cell_at][8*k+:8]);
        difference[cell_at] = int'(plus[cell_at]) - int'(minus[cell_at]);
      end
    record(TILE, row * COLUMNS + col, cell_at, rows * cols, 0);
  endtask

  task automatic do_pattern;
    record_cells(operand(word, PATTERN_ROW_LOW, PATTERN_ROW_BITS, 0, 0), operand(word, PATTERN_COL_LOW, PATTERN_COL_BITS, 0, 0),
                 operand(word, PATTERN_ROWS_LOW, PATTERN_ROWS_BITS, 0, 0), operand(word, PATTERN_COLS_LOW, PATTERN_COLS_BITS, 0, 0));
  endtask

  task automatic do_program;
    int b;
    b = int'(operand(word, PROGRAM_BLOCK_LOW, PROGRAM_BLOCK_BITS, 0, 0));
    block_row[b] = operand(word, PROGRAM_ROW_LOW, PROGRAM_ROW_BITS, 0, 0);
    block_col[b] = operand(word, PROGRAM_COL_LOW, PROGRAM_COL_BITS, 0, 0);
    block_rows[b] = operand(word, PROGRAM_ROWS_LOW, PROGRAM_ROWS_BITS, 0, 0);
    block_cols[b] = operand(word, PROGRAM_COLS_LOW, PROGRAM_COLS_BITS, 0, 0);
    for (longint j = 0; j < block_cols[b]; j++) factors[64*b+j] = FACTOR_ONE;
    record_cells(block_row[b], block_col[b], block_rows[b], block_cols[b]);
  endtask

  task automatic do_gain;
    gain_multiplier = operand(word, GAIN_MULTIPLIER_LOW, GAIN_MULTIPLIER_BITS, 0, 0);
    gain_divide = operand(word, GAIN_DIVIDE_LOW, GAIN_DIVIDE_BITS, 0, 0);
    crc = crc_of(crc_of(crc_of(crc, gain_multiplier[7:0]), gain_multiplier[15:8]), gain_divide[7:0]);
    record(GAIN, 0, operand(word, GAIN_SCOPE_LOW, GAIN_SCOPE_BITS, 0, 0) == GAIN_SCOPE_IS_ALL ? TILES - 1 : 0, 1, 0);
  endtask

  // The ADC's code of an array sum before it is clipped.
  function automatic longint coded(input longint sum);
    coded = rounded(sum * gain_multiplier, gain_divide - (fault == SHIFT_ONE_LESS ? 1 : 0),
                    int'(fault == ADC_HALF_UP), int'(fault == ADC_FLOORS));
  endfunction

  // The same of column j of block b, for the input codes from `first` on.
  function automatic longint converted(input int b, input longint j, input longint first);
    longint sum;
    int at, rows;
    sum = 0;
    rows = int'(block_rows[b]);
    at = int'((block_row[b] + (fault == ROW_OFF_BY_ONE ? -1 : 0)) * COLUMNS + block_col[b] + j);
    for (int i = 0; i < rows; i++) begin
      sum = sum + input_codes[first+i] * difference[at];
      at = at + COLUMNS;
    end
    converted = coded(fault == PAIR_SWAPPED ? -sum : sum);
  endfunction

  function automatic longint clipped(input longint n);
    if (fault == SATURATION_LOST) clipped = ((n + ADC_HIGH + 1) & (2 * ADC_HIGH + 1)) - ADC_HIGH - 1;
    else clipped = clamped(n, fault == LOWEST_CODE_KEPT ? -ADC_HIGH - 1 : -ADC_HIGH, ADC_HIGH);
  endfunction

  task automatic fetch(input int s, input longint v);
    for (longint n = 0; n < length_of(s); n++) input_codes[n] = int'(element_of(s, v, n));
  endtask

  task automatic count_clips(input longint n);
    if (n < -ADC_HIGH) clip_low = clip_low + 1;
    if (n > ADC_HIGH) clip_high = clip_high + 1;
  endtask

  // Drift factors of block b, whose inputs begin at `first` and whose reference sums lie at `reference`.
  task automatic calibrate_block(input int s, input int b, input longint first, input longint reference, input int apart);
    longint raw, found, wanted;
    longint sums[0:63];
    for (longint j = 0; j < block_cols[b]; j++) sums[j] = 0;
    for (longint v = 0; v < vectors_of(s); v++) begin
      fetch(s, v);
      for (longint j = 0; j < block_cols[b]; j++) begin
        raw = converted(b, j, first);
        count_clips(raw);
        found = clipped(raw);
        sums[apart!=0?j : 0] = sums[apart!=0?j : 0] + (found < 0 ? -found : found);
      end
    end
    for (longint j = 0; j < block_cols[b]; j++) begin
      wanted = loaded(1, reference + (apart != 0 ? 8 * j : 0), 5);
      found = sums[apart!=0?j : 0];
      found = found == 0 ? longint'(FACTOR_ONE) : clamped(quotient(wanted * FACTOR_ONE, found), 1, 65535);
      factors[64*b+j] = found;
      crc = crc_of(crc_of(crc, found[7:0]), found[15:8]);
    end
  endtask

  task automatic do_calibrate;
    int s, b, blocks, apart;
    longint first, reference;
    s = int'(operand(word, CALIBRATE_IN_LOW, CALIBRATE_IN_BITS, 0, 0));
    b = int'(operand(word, CALIBRATE_BLOCK_LOW, CALIBRATE_BLOCK_BITS, 0, 0));
    blocks = int'(operand(word, CALIBRATE_BLOCKS_LOW, CALIBRATE_BLOCKS_BITS, 0, 0));
    reference = operand(word, CALIBRATE_REFERENCE_LOW, CALIBRATE_REFERENCE_BITS, 0, 0);
    apart = int'(operand(word, CALIBRATE_PER_LOW, CALIBRATE_PER_BITS, 0, 0) == CALIBRATE_PER_IS_COLUMN);
    first = 0;
    for (int t = b; t < b + blocks; t++) begin
      calibrate_block(s, t, first, reference, apart);
      first = first + block_rows[t];
      reference = reference + 8 * (apart != 0 ? block_cols[t] : 1);
    end
    record(FACTOR, b, b + blocks - 1, blocks * block_cols[b], 1);
  endtask

  // What block b adds to column j of a product: code times scale, drift factor included.
  function automatic longint scaled(input int b, input longint j, input longint code, input longint scale);
    scaled = clipped(code) * rounded(loaded(1, scale + 4 * j, 4) * factors[64*b+j], 14, 0, 0);
  endfunction

  task automatic do_mvm;
    int s, o, b, blocks;
    longint raw, first, total, added, previous, scale, shift, low, high;
    s = int'(operand(word, MVM_IN_LOW, MVM_IN_BITS, 0, 0));
    o = int'(operand(word, MVM_OUT_LOW, MVM_OUT_BITS, 0, 0));
    b = int'(operand(word, MVM_BLOCK_LOW, MVM_BLOCK_BITS, 0, 0));
    blocks = int'(operand(word, MVM_BLOCKS_LOW, MVM_BLOCKS_BITS, 0, 0));
    scale = operand(word, MVM_SCALE_LOW, MVM_SCALE_BITS, 0, 0);
    shift = operand(word, MVM_SHIFT_LOW, MVM_SHIFT_BITS, 0, 0);
    low = operand(word, MVM_LOW_LOW, MVM_LOW_BITS, 1, 0);
    high = operand(word, MVM_HIGH_LOW, MVM_HIGH_BITS, 1, 0);
    for (longint v = 0; v < vectors_of(s); v++) begin
      fetch(s, v);
      for (longint j = 0; j < block_cols[b]; j++) begin
        first = 0;
        added = 0;
        for (int t = 0; t < blocks; t++) begin
          raw = converted(b + t, j, first);
          count_clips(raw);
          added = added + scaled(b + t, j, raw, scale + 4 * t * block_cols[b]);
          first = first + block_rows[b+t];
        end
        total = added;
        if (fault != BIAS_LOST) total = total + loaded(1, operand(word, MVM_BIAS_LOW, MVM_BIAS_BITS, 0, 0) + 8 * j, 5);
        if (fault == STALE_ACCUMULATOR && j != 0) total = total + previous;
        previous = added;
        store(o, v * block_cols[b] + j, requantised(total, shift, low, high));
      end
    end
    record_stream(o, 1);
  endtask

  task automatic do_capture;
    int s, o, b;
    longint raw;
    s = int'(operand(word, CAPTURE_IN_LOW, CAPTURE_IN_BITS, 0, 0));
    o = int'(operand(word, CAPTURE_OUT_LOW, CAPTURE_OUT_BITS, 0, 0));
    b = int'(operand(word, CAPTURE_BLOCK_LOW, CAPTURE_BLOCK_BITS, 0, 0));
    for (longint v = 0; v < vectors_of(s); v++) begin
      fetch(s, v);
      for (longint j = 0; j < block_cols[b]; j++) begin
        raw = converted(b, j, 0);
        count_clips(raw);
        store(o, v * block_cols[b] + j, clipped(raw));
      end
    end
    record_stream(o, 1);
  endtask

  task automatic do_selftest;
    int o;
    longint raw;
    o = int'(operand(word, SELFTEST_OUT_LOW, SELFTEST_OUT_BITS, 0, 0));
    raw = coded(operand(word, SELFTEST_VALUE_LOW, SELFTEST_VALUE_BITS, 1, 0));
    count_clips(raw);
    store(o, 0, clipped(raw));
    record_stream(o, 1);
  endtask

  // The digital unit.

  // All is read before anything is written.
  task automatic do_move;
    int s, o;
    longint length, count;
    s = int'(operand(word, MOVE_IN_LOW, MOVE_IN_BITS, 0, 0));
    o = int'(operand(word, MOVE_OUT_LOW, MOVE_OUT_BITS, 0, 0));
    length = length_of(s);
    count = vectors_of(s) * length;
    for (longint n = 0; n < count; n++) moved[n] = element_of(s, n / length, n % length);
    for (longint n = 0; n < count; n++) store(o, n, moved[n]);
    record_stream(o, 0);
  endtask

  function automatic longint requantised(input longint total, input longint shift, input longint low, input longint high);
    longint value;
    value = rounded(total, shift, int'(fault == REQUANTISE_HALF_UP), 0);
    requantised = clamped(value, low, fault == HIGH_CLAMP_LOST && value > low ? value : high);
  endfunction

  task automatic do_poolmax;
    int s, o;
    longint channels, taps, most, low, high;
    s = int'(operand(word, POOLMAX_IN_LOW, POOLMAX_IN_BITS, 0, 0));
    o = int'(operand(word, POOLMAX_OUT_LOW, POOLMAX_OUT_BITS, 0, 0));
    low = operand(word, POOLMAX_LOW_LOW, POOLMAX_LOW_BITS, 1, 0);
    high = operand(word, POOLMAX_HIGH_LOW, POOLMAX_HIGH_BITS, 1, 0);
    channels = shape[4*s+3];
    taps = kernel[2*s] * kernel[2*s+1] - (fault == LAST_TAP_MISSED ? 1 : 0);
    for (longint v = 0; v < vectors_of(s); v++)
      for (longint c = 0; c < channels; c++) begin
        most = element_of(s, v, c);
        for (longint t = 1; t < taps; t++)
          if (element_of(s, v, t * channels + c) > most) most = element_of(s, v, t * channels + c);
        store(o, v * channels + c, clamped(most, low, high));
      end
    record_stream(o, 0);
  endtask

  task automatic do_add;
    int a, b, o;
    longint ma, mb, bias, shift, low, high, length;
    a = int'(operand(word, ADD_A_LOW, ADD_A_BITS, 0, 0));
    b = int'(operand(word, ADD_B_LOW, ADD_B_BITS, 0, 0));
    o = int'(operand(word, ADD_OUT_LOW, ADD_OUT_BITS, 0, 0));
    ma = operand(word, fault == OPERANDS_SWAPPED ? ADD_MB_LOW : ADD_MA_LOW, ADD_MA_BITS, 1, 0);
    mb = operand(word, fault == OPERANDS_SWAPPED ? ADD_MA_LOW : ADD_MB_LOW, ADD_MB_BITS, 1, 0);
    bias = operand(word, ADD_BIAS_LOW, ADD_BIAS_BITS, 1, 0);
    shift = operand(word, ADD_SHIFT_LOW, ADD_SHIFT_BITS, 0, 0);
    low = operand(word, ADD_LOW_LOW, ADD_LOW_BITS, 1, 0);
    high = operand(word, ADD_HIGH_LOW, ADD_HIGH_BITS, 1, 0);
    length = length_of(a);
    for (longint v = 0; v < vectors_of(a); v++)
      for (longint n = 0; n < length; n++)
        store(o, v * length + n,
              requantised(element_of(a, v, n) * ma + element_of(b, v, n) * mb + bias, shift, low, high));
    record_stream(o, 0);
  endtask

  // Streams.

  task automatic do_tensor;
    int s;
    s = int'(operand(word, TENSOR_STREAM_LOW, TENSOR_STREAM_BITS, 0, 0));
    space[s] = operand(word, TENSOR_SPACE_LOW, TENSOR_SPACE_BITS, 0, 0);
    kind[s] = operand(word, TENSOR_TYPE_LOW, TENSOR_TYPE_BITS, 0, 0);
    base[s] = operand(word, TENSOR_BASE_LOW, TENSOR_BASE_BITS, 0, 0);
    windowed[s] = 0;
    for (int n = 0; n < 4; n++) begin
      shape[4*s+n] = operand(word, TENSOR_SHAPE_LOW, TENSOR_SHAPE_BITS, 0, n);
      pitch[4*s+n] = operand(word, TENSOR_PITCH_LOW, TENSOR_PITCH_BITS, 1, n);
    end
  endtask

  task automatic do_window;
    int s;
    s = int'(operand(word, WINDOW_STREAM_LOW, WINDOW_STREAM_BITS, 0, 0));
    windowed[s] = 1;
    filling[s] = operand(word, WINDOW_FILL_LOW, WINDOW_FILL_BITS, 1, 0);
    for (int n = 0; n < 2; n++) begin
      kernel[2*s+n] = operand(word, WINDOW_KERNEL_LOW, WINDOW_KERNEL_BITS, 0, n);
      stride[2*s+n] = operand(word, WINDOW_STRIDE_LOW, WINDOW_STRIDE_BITS, 0, n);
      dilation[2*s+n] = operand(word, WINDOW_DILATION_LOW, WINDOW_DILATION_BITS, 0, n);
      pad[2*s+n] = operand(word, WINDOW_PAD_LOW, WINDOW_PAD_BITS, 1, n);
      outs[2*s+n] = operand(word, WINDOW_OUT_LOW, WINDOW_OUT_BITS, 0, n);
    end
  endtask

  // `halt` records the output.
  task automatic do_halt;
    for (int n = 0; n < output_bytes; n++) crc = crc_of(crc, activations[output_address+n]);
    record(HALTED, 0, 0, records, 0);
  endtask

  // A run, from the start to `halt`.

  task automatic load;
    $sformat(name, "%0s/code.hex", folder);
    $readmemh(name, code, 0, code_words - 1);
    if (constant_words != 0) begin
      $sformat(name, "%0s/constants.hex", folder);
      $readmemh(name, constants, 0, constant_words - 1);
    end
    $sformat(name, "%0s/tile0_plus.hex", folder);
    $readmemh(name, plus);
    $sformat(name, "%0s/tile0_minus.hex", folder);
    $readmemh(name, minus);
  endtask

  task run;
    $sformat(name, "%0s/activations.hex", folder);
    $readmemh(name, activations, 0, activation_words - 1);
    $fwrite(trace, "run %0s %0d\n", folder, fault);
    pc = 0;
    records = 0;
    word = code[0];
    while (word[7:0] != OP_HALT) begin
      crc = 32'hffffffff;
      clip_low = 0;
      clip_high = 0;
      case (word[7:0])
        OP_PROGRAM: do_program();
        OP_GAIN: do_gain();
        OP_TENSOR: do_tensor();
        OP_WINDOW: do_window();
        OP_CALIBRATE: do_calibrate();
        OP_MVM: do_mvm();
        OP_CAPTURE: do_capture();
        OP_SELFTEST: do_selftest();
        OP_PATTERN: do_pattern();
        OP_MOVE: do_move();
        OP_POOLMAX: do_poolmax();
        OP_ADD: do_add();
        default: begin
          $display("the sequencer does not know opcode %02h of instruction %0d", word[7:0], pc);
          $finish;
        end
      endcase
      pc = pc + 1;
      word = code[pc];
      retired = retired + 1;
      #1;
    end
    crc = 32'hffffffff;
    do_halt();
  endtask

  initial begin
    if (!$value$plusargs("fault=%d", first)) first = 0;
    if (!$value$plusargs("last=%d", last)) last = first;
    trace = $fopen("chip.records", "w");
    list = $fopen("runs.txt", "r");
    retired = 0;
    #1;
    while ($fscanf(list, "%s %d %d %d %d %d", folder, code_words, constant_words, activation_words, output_address,
                   output_bytes) == 6) begin
      load();
      for (fault = first; fault <= last; fault = fault + 1) run();
    end
    $fclose(trace);
    $finish;
  end
endmodule
